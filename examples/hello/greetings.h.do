# The generated header: each line of greetings.txt ("language: greeting") becomes an entry of a C table.
redo-ifchange greetings.txt
cat <<END
/* Made from greetings.txt by greetings.h.do; edit that. */
static const struct greeting greetings[] = {
$(sed 's/\([^:]*\): *\(.*\)/    {"\1", "\2"},/' greetings.txt)
};
END
