cd context; mkdir -p ctx t/d; echo one > t/d/f; touch -d 2019-01-01T00:00:00Z t/d/f t/d; tar -C t --owner=0 --group=0 -cf ctx/a.tar d
mkdir -p u/link; echo two > u/link/g; touch -d 2019-01-01T00:00:00Z u/link/g u/link; tar -C u --owner=0 --group=0 -cf ctx/b.tar link/g; rm -r t u
