#include "config.h"
#include "vec.h"

int bits_set(unsigned number)
{
#ifdef HAVE_POPCOUNT
    return __builtin_popcount(number);
#else
    int found = 0;

    for (; number; number &= number - 1)
        found++;
    return found;
#endif
}
