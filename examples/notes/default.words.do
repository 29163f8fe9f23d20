#!/usr/bin/awk -f
# How many words a note has.
BEGIN {
    source = ARGV[2] ".txt"
    quoted = source
    gsub(/'/, "'\\''", quoted)
    if (system("redo-ifchange '" quoted "'")) exit 1
    while ((getline line < source) > 0) words += split(line, ignored)
    print words
}
