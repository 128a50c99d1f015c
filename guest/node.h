/* Block devices of the machine that a container has as such: their nodes in it. */
#pragma once

#include "site.h"

/* Makes each of the request's devices at its path in the container, whatever the root is. Returns 0 or -errno with
 * the failure recorded. */
int nodes_place(const struct site *site);
