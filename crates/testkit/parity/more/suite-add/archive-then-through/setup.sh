mkdir w; ln -s ../tmp/target w/symlink; touch -h -d @1000000000 w/symlink; tar --owner=0 --group=0 -C w -cf context/t.tar symlink; rm -r w
