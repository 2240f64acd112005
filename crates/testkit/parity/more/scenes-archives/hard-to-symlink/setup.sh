python3 - <<'P'
import tarfile,io,json
t=tarfile.open('context/a.tar','w',format=tarfile.PAX_FORMAT)
for n,k,m,x in [('d/f', 'f', 384, 'x'), ('l', 'l', 511, 'd/f'), ('h', 'h', 420, 'l')]:
  i=tarfile.TarInfo(n); i.type={'d':b'5','f':b'0','l':b'2','h':b'1'}[k]; i.mode=m; i.mtime=1500000000; i.uid=i.gid=3
  d=b''
  if k=='f': d=x.encode(); i.size=len(d)
  else: i.linkname=x
  t.addfile(i,io.BytesIO(d))
t.close()
P
