# Link the interpreter.
redo-ifchange cc objects
read objects <objects
redo-ifchange $objects
./cc -o "$3" $objects -Wl,-E -lm -ldl
