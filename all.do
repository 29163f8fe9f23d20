redo-ifchange client/redo lint types test
