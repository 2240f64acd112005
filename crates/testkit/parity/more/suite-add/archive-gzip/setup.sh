mkdir -p w/foo; echo 1 > w/foo/a; ln -s a w/foo/l; ln w/foo/a w/foo/h; touch -d @1000000000 w/foo/a w/foo; mkdir -p context; tar --owner=5 --group=6 --sort=name -C w -czf context/t.tar foo; rm -r w
