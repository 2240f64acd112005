mkdir -p context; printf hello | gzip -n > context/x.gz; touch -d @1000000000 context/x.gz
