mkdir -p w context; echo 1 > w/a; touch -d @1000000000 w/a; tar --owner=0 --group=0 -C w -cf context/t.tar a; mv w/a w/b; tar --owner=0 --group=0 -C w -czf context/b.tar.gz b; rm -r w
