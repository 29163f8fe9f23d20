#ifndef VEC_H
#define VEC_H

struct vec { double x, y; };

double vec_length(struct vec v);
int bits_set(unsigned number);

#endif
