redo-ifchange hello
