redo-ifchange lua test
