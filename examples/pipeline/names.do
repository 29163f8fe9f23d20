# The list that others take their dependencies from.
redo-ifchange stations
ls stations | sed 's/[.]csv$//' >"$3"
redo-stamp <"$3"
