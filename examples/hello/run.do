# Build the program and run it. A script's stdout is its target, so the program's output goes to stderr.
redo-ifchange hello
./hello "${USER:-world}" >&2
