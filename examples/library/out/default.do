# Everything here is made from ../src, by the rule for its kind: sources and outputs have a tree each.
case $1 in
    config.h | flags | demo) rule=$1 ;;
    *.o) rule=object ;;
    lib*.a) rule=archive ;;
    lib*.so.*) rule=shared ;;
    lib*.so) rule=link ;;
    *) echo "nobody knows how to make $1" >&2; exit 1 ;;
esac
redo-ifchange "../rules/$rule"
. "../rules/$rule"
