chmod 4751 context/x; chmod 1770 context/d/sub; chmod 600 context/d/f; chmod 444 context/e
