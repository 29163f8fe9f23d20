# Files come and go: the list is made in every build, and counts as changed only when it differs.
redo-always
find notes -name '*.txt' | LC_ALL=C sort >"$3"
redo-stamp <"$3"
