#ifndef FRAME_H
#define FRAME_H

#include <stddef.h>

/* Prints the lines in a frame that is just wide enough. */
void print_framed(const char *const *lines, size_t count);

#endif
