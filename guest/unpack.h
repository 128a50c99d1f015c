/* An archive becomes a tree under a directory.
 *
 * The rule: nothing is made, changed or removed outside that directory, whatever names and links the archive has and
 * whatever others do to the tree meanwhile: each entry is made by its last name in a directory that was opened by
 * openat2(2). What cannot be kept of an entry is an error, but for attributes that the file system does not have. */
#pragma once

#include "tar_read.h"

struct unpack_wish {
    int directory_fd;
    bool whole;     /* the directory is a root: absolute links in it mean it; else they lead out of it */
    bool whiteouts; /* OCI layer.md: `.wh.NAME` and `.wh..wh..opq` remove what lower layers have put there */
    bool replace;   /* a directory may take the place of something else, and the other way round */
    bool own;       /* everything belongs to uid:gid, whatever the archive says */
    uint32_t uid, gid;
};

struct tree_counts {
    uint64_t entries, bytes;
    uint64_t left_out; /* unpacked: attributes that the file system does not have; packed: sockets */
};

/* Unpacks the tar at `input_fd`, to the end of the stream. Returns 0 or -errno with the failure recorded. */
int unpack(const struct unpack_wish *wish, int input_fd, struct tree_counts *counts);
