redo-ifchange out/libvec.a out/libvec.so out/demo check
