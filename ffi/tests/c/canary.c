/*
 * Mistakes that the checkers must see, one by its name; so that a clean run of the other programs means something.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "subrosa.h"

/* Reads what the library owned and has freed: the text of an error, after the next one. */
static int view(void) {
    const char *volatile old;
    subrosa_config *config;
    if (subrosa_config_new(0, "x", &config) == SUBROSA_OK) return 0;
    old = subrosa_last_error();
    if (subrosa_config_new(SUBROSA_PRESET_TEST, "", &config) == SUBROSA_OK) return 0;
    return old[0];
}

/* Writes beyond what malloc gave. */
static int overflow(int many) {
    char *volatile room = malloc(16);
    if (room == NULL) return 0;
    room[15 + many] = 1;
    free(room);
    return 1;
}

/* Loses memory. */
static int leak(int many) {
    char *volatile room = malloc(100 + (size_t)many);
    if (room != NULL) room[0] = 1;
    room = NULL;
    return 1;
}

/* More than an int holds. */
static int arithmetic(int many) {
    volatile int large = INT_MAX;
    large = large + many;
    return large != 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "view") == 0) return view() == 0;
    if (strcmp(what, "overflow") == 0) return overflow(argc - 1) == 0;
    if (strcmp(what, "leak") == 0) return leak(argc - 1) == 0;
    if (strcmp(what, "arithmetic") == 0) return arithmetic(argc - 1) == 0;
    return 3;
}
