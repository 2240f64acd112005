mkdir -p w context; head -c 3000 /dev/zero > w/a; touch -d @1000000000 w/a; tar --owner=0 --group=0 -C w -cf w.tar a; head -c 1500 w.tar > context/t.tar; rm -r w w.tar
