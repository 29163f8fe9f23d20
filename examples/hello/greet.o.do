# greet.c includes a generated header, which must be there before the compiler looks for it.
redo-ifchange greetings.h default.o.do
. ./default.o.do
