/* A test is a function; the first claim that does not hold ends the program with its line. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#define CHECK(claim)                                                             \
    do {                                                                         \
        if (!(claim)) {                                                          \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim);   \
            exit(1);                                                             \
        }                                                                        \
    } while (0)
