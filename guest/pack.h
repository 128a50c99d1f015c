/* A tree becomes an archive: what unpack.h undoes.
 *
 * The rule: every object is opened once, by its name in a directory that is open already, and what is told of it is
 * told of what was opened. What goes on in the tree meanwhile may change what is packed, never lead elsewhere. */
#pragma once

#include "fields.h"
#include "unpack.h"

struct pack_wish {
    int root_fd;
    struct strings paths, names; /* in the root, and as the archive calls them; "" packs what is in a directory */
    bool follow;                 /* a path that is a link itself stands for what it leads to */
};

/* Writes a tar of the paths to `output_fd`. Returns 0 or -errno with the failure recorded. */
int pack(const struct pack_wish *wish, int output_fd, struct tree_counts *counts);
