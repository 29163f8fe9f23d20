# The names of all pages. Pages come and go, so they are listed anew in every session; stamped, the list only counts when it
# differs.
redo-always
for page in *.gmi; do
    echo "${page%.gmi}"
done >"$3"
redo-stamp <"$3"
