# Lua's own sources, out of the sdist: a target that is a directory. To redo the files in it are sources like any other.
sdist=lupa-1.14.1
redo-ifchange $sdist.tar.gz
mkdir "$3"
tar -xzf $sdist.tar.gz -o --strip-components=3 -C "$3" $sdist/third-party/lua
