cd context; mkdir -p ctx t/d; echo one > t/d/f; echo foo > ctx/foo; touch -d 2019-01-01T00:00:00Z t/d/f t/d; tar -C t --owner=7 --group=9 -cf ctx/a.tar d; rm -r t
