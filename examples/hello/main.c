#include "frame.h"
#include "greet.h"

enum { MAX_LINES = 64, MAX_LENGTH = 120 };

int main(int argc, char **argv)
{
    static char text[MAX_LINES][MAX_LENGTH];
    const char *lines[MAX_LINES];
    const char *name = argc > 1 ? argv[1] : "world";
    size_t count = greeting_count() < MAX_LINES ? greeting_count() : MAX_LINES;

    for (size_t i = 0; i < count; i++) {
        greet(i, name, text[i], sizeof text[i]);
        lines[i] = text[i];
    }
    print_framed(lines, count);
    return 0;
}
