# Fetch the sdist that SHA256SUMS pins, from the package index that pip is set up to use. Nothing in it is run.
redo-ifchange SHA256SUMS fetch.py
sha256=
while read sum name; do
    [ "$name" != "$1" ] || sha256=$sum
done <SHA256SUMS
[ "$sha256" ] || { echo "$1: SHA256SUMS has no line for it" >&2; exit 1; }

# The first of these that has pip: the caller's choice, the usual one, the one that redo was installed with.
beside_redo=$(dirname "$(readlink -f "$(command -v redo)")")
for python in "${PYTHON:-python3}" python3 "$beside_redo/python3"; do
    if "$python" -c 'import pip' 2>/dev/null; then
        exec "$python" fetch.py "$1" "$sha256" "$3"
    fi
done
echo "$1: found no Python that has pip; name one: PYTHON=... redo" >&2
exit 1
