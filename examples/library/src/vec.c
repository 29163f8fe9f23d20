#include "vec.h"

#include <math.h>

double vec_length(struct vec v)
{
    return sqrt(v.x * v.x + v.y * v.y);
}
