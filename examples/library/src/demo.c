#include "vec.h"

#include <stdio.h>

int main(void)
{
    struct vec v = {3, 4};

    printf("(%g, %g) has length %g\n", v.x, v.y, vec_length(v));
    printf("%d bits are set in 15\n", bits_set(15));
    return 0;
}
