mkdir -p context/d/e context/d/g/h
