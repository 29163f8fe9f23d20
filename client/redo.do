# The native client by itself, for trying it out and for its compiler's opinion; meson.build makes the installed one.
redo-ifchange *.c *.h ../meson.build
version=$(sed -n "s/^ *version: '\(.*\)',$/\1/p" ../meson.build)
${CC:-cc} -std=gnu11 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror \
    "-DREDOD_VERSION=\"$version\"" -s -o "$3" *.c
