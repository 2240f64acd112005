# Turns lines into a list.
echo "<ul>"
while read -r line; do
    echo "  <li>$line</li>"
done
echo "</ul>"
