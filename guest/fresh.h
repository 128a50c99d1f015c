/* The names that one layer has brought, which its whiteouts spare. Bounded, and not told apart beyond 64 bits. */
#pragma once

#include "util.h"

#define FRESH_NAMES (1u << 21)

/* Begins an empty set. Returns 0 or -errno. */
int fresh_begin(void);

/* Adds `name` in the directory with this inode number. Returns 0 or -E2BIG. */
int fresh_add(uint64_t directory, const char *name);

bool fresh_has(uint64_t directory, const char *name);
