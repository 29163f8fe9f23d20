# Compile one C file. The compiler writes down what it read in $3.d, as "target: file file ...", with backslashes at
# the line ends, which `read` joins: no list of headers is kept by hand. ($3.d goes when the script ends.)
source=${1%.o}.c
redo-ifchange cc "$source"
./cc -c -MD -MF "$3.d" -o "$3" "$source"
read depends <"$3.d"
redo-ifchange ${depends#*:}
