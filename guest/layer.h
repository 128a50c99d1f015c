/* A root that is only read, with what is written to it on a disk of its own: an overlay of both. */
#pragma once

#include "root.h"

/* In the agent: what the kernel needs for such a root is loaded, where it is not built in. */
void layer_load(const struct root *root);

/* Mounts `root` below its `upper`, detached, with both disks on the stage. The first time, `upper` (or "work") is
 * made on its disk, with the mode and owner of the root's, and opened as `upper_fd`, the caller's to close. Changes the
 * working directory. Returns a mount's descriptor or -errno with the failure recorded. */
int layer_mount(const struct root *root, int stage_fd, int *upper_fd);
