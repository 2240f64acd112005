cd context; mkdir -p ctx/bar ctx/tars ctx/bar/bam; echo foo > ctx/foo; for n in bar baz bat; do echo $n > ctx/bar/$n; done; echo bam > ctx/bar/bam/bat
mkdir t t/in; echo one > t/in/one; chmod 750 t/in; touch -d 2019-01-01T00:00:00Z t/in/one t/in
tar -C t --owner=5 --group=6 --sort=name -cf ctx/tars/file.tar in
tar -C t --owner=5 --group=6 --sort=name -czf ctx/tars/file.tar.gz in
echo single | bzip2 > ctx/tars/file.bz2
mkdir -p s/sys s/dev s/proc s/etc; echo x > s/etc/extra; echo y > s/sys/y; echo z > s/proc/z; chmod 700 s/etc
touch -d 2019-01-01T00:00:00Z s/etc/extra s/sys/y s/proc/z s/etc s/sys s/proc s/dev
tar -C s --owner=0 --group=0 --sort=name -czf ctx/tars/sys.tar.gz sys dev proc etc
rm -r t s
