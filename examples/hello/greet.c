#include "greet.h"

#include <stdio.h>

struct greeting {
    const char *language;
    const char *words;
};

#include "greetings.h"

size_t greeting_count(void)
{
    return sizeof greetings / sizeof greetings[0];
}

void greet(size_t which, const char *name, char *text, size_t size)
{
    snprintf(text, size, "%s, %s! (%s)", greetings[which].words, name, greetings[which].language);
}
