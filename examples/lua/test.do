# Run a script with the interpreter just built. A dofile's stdout is its target, so the output goes to stderr.
redo-ifchange lua test.lua
./lua test.lua >&2
