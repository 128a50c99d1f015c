/* A container's disk: a block device with a file system on it. */
#pragma once

#include "util.h"

/* Mounts the file system `type` of `device`, detached. What the kernel cached of the device before is dropped
 * first: in a machine forked from a template another disk lies behind it now. A read-only device is mounted so
 * when `readonly` allows it. Returns a mount's descriptor or -errno. */
int device_mount(const char *device, const char *type, bool readonly);

/* The same of a device that nothing is to be written to from now on, not even its journal: EROFS where that is to
 * be replayed. A forked machine does not see that a disk can only be read, so the kernel is told. */
int device_mount_locked(const char *device, const char *type);

/* Opens a device, for which it waits a moment where its driver was just loaded. Returns a descriptor or -errno. */
int device_open(const char *device);

/* Grows the ext4 on `device`, mounted at `root_fd`, to `bytes`; nothing happens where it is as large. The device does
 * not say: in a machine forked from a template it shows the size of the one that was there then. */
int device_grow(const char *device, int root_fd, uint64_t bytes);
