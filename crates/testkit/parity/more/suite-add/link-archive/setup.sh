mkdir -p w context; echo 1 > w/a; touch -d @1000000000 w/a; tar --owner=0 --group=0 -C w -cf context/t.tar a; rm -r w
