# What the checks read. Files come and go, so the list is made anew in every session; stamped, it only counts when it differs.
redo-always
find redod client tests bench \( -name '*.py' -o -name '*.c' -o -name '*.h' \) -type f | sort >"$3"
echo pyproject.toml >>"$3"
redo-stamp <"$3"
