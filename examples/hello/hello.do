# Link the program. Which objects it consists of is written here and nowhere else.
objects='main.o greet.o frame.o'
redo-ifchange cc $objects
./cc -o "$3" $objects
