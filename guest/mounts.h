/* Mounts made by descriptor, so that no path is walked twice: fsopen(2), open_tree(2), move_mount(2). */
#pragma once

#include "fields.h"

/* What the options of a mount ask for. */
struct mount_options {
    uint64_t attributes;  /* MOUNT_ATTR_* */
    const char *file;     /* "file=NAME": show this file of the source; NULL: all of it */
    const char *settings[8][2]; /* keys and values for the file system itself */
    uint32_t setting_count;
};

/* Reads "ro", "nosuid", "nodev", "noexec", "mode=", "size=", "file=". Values live in the arena. Returns 0 or
 * -errno with the failure recorded. */
int mount_options_parse(const struct strings *options, struct mount_options *parsed);

/* A new file system that is attached nowhere. `source` may be NULL. Returns a descriptor or -errno. */
int mount_new(const char *type, const char *source, const struct mount_options *options);

/* A copy of the mount at `fd`, recursively where it is a directory. Returns a descriptor or -errno. */
int mount_copy(int fd, bool recursive);

/* Sets attributes (MOUNT_ATTR_*) on the mount `fd`, and on those below it. */
int mount_restrict(int fd, uint64_t attributes, bool recursive);

/* Changes one setting of the file system that is mounted at `fd`. */
int mount_change(int fd, const char *key, const char *value);

/* Attaches the mount `mount_fd`, which may be attached elsewhere, over `target_fd`. */
int mount_attach(int mount_fd, int target_fd);
