#include "frame.h"

#include <stdio.h>
#include <string.h>

static void print_edge(size_t width)
{
    putchar('+');
    for (size_t i = 0; i < width + 2; i++)
        putchar('-');
    puts("+");
}

void print_framed(const char *const *lines, size_t count)
{
    size_t width = 0;
    for (size_t i = 0; i < count; i++)
        if (strlen(lines[i]) > width)
            width = strlen(lines[i]);

    print_edge(width);
    for (size_t i = 0; i < count; i++)
        printf("| %-*s |\n", (int)width, lines[i]);
    print_edge(width);
}
