cd context; mkdir -p t/d/e; echo one > t/d/f; ln -s f t/d/l; ln t/d/f t/d/h; touch -h -d 2019-01-01T00:00:00Z t/d/f t/d/l t/d/e t/d
tar -C t --owner=7 --group=9 --numeric-owner --sort=name -cf a.tar d; gzip -nk a.tar; cp a.tar.gz a.tgz; cp a.tar.gz renamed; bzip2 -k a.tar; xz -k a.tar; zstd -q a.tar
echo text > text; echo text | gzip -n > plain.gz; echo text | xz > plain.xz; tar -cf empty.tar -T /dev/null; rm -r t
