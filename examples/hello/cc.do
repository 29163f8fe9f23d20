# Makes ./cc: the compiler with this project's flags, as a program. What is compiled depends on it, so other flags
# compile everything again. CC and CFLAGS may be set by the caller; `redo cc` takes up new ones.
compiler=${CC:-cc}
if ! command -v "${compiler%% *}" >/dev/null; then
    echo "${compiler%% *}: not found; install a C compiler (gcc or clang), or name yours: CC=... redo" >&2
    exit 1
fi
cat >"$3" <<END
#!/bin/sh
exec $compiler -std=c11 -Wall -Wextra ${CFLAGS:--O2} "\$@"
END
chmod +x "$3"
