cd out
rm -f config.h flags demo lib* ./*.o
