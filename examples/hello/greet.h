#ifndef GREET_H
#define GREET_H

#include <stddef.h>

/* How many languages we speak. */
size_t greeting_count(void);

/* Writes the greeting number `which` for `name` into `text`, cut to `size` bytes. */
void greet(size_t which, const char *name, char *text, size_t size);

#endif
