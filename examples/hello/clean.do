rm -f hello cc greetings.h ./*.o
