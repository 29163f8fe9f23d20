# What this compiler has, found out as a configure script does.
redo-ifchange flags
. ./flags
have() {
    printf '%s\n' "$2" >"$3.c"
    if $CC $CFLAGS -o "$3.out" "$3.c" 2>/dev/null; then echo "#define HAVE_$1 1"; else echo "/* no $1 */"; fi
}
{
    have POPCOUNT 'int main(int n, char **v) { (void)v; return __builtin_popcount((unsigned)n); }' "$3"
    have WINDOWS_H '#include <windows.h>
int main(void) { return 0; }' "$3"
} >"$3.found"
mv "$3.found" "$3"
redo-stamp <"$3"
