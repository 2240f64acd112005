mkdir -p w/s context; echo 1 > w/s/a; touch -d @1000000000 w/s/a w/s; tar --owner=5 --group=6 --sort=name -C w -cf context/t.tar s; rm -r w
