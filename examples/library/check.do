# The demonstration must say what it is expected to say.
redo-ifchange out/demo expected
./out/demo >"$3.said"
diff -u expected "$3.said" >&2
