# The list of objects, in one line: one for each C file, but for onelua.c, which includes all the others.
redo-ifchange src
for source in src/*.c; do
    name=${source##*/}
    [ "$name" = onelua.c ] || printf '%s ' "${name%.c}.o"
done >"$3"
echo >>"$3"
redo-stamp <"$3"
