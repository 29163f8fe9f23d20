# The sdist stays: it is the one thing that cannot be made offline.
rm -rf src lua cc objects ./*.o
