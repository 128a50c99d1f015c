/* Paths inside a container's root: whatever its links say, none leads out (openat2(2), RESOLVE_IN_ROOT). */
#pragma once

#include "util.h"

#include <sys/types.h>

/* Opens `path` below `root_fd` with `flags` (O_CLOEXEC is added). Returns a descriptor or -errno. */
int path_open(int root_fd, const char *path, int flags);

/* The same below a directory that is no root: -EXDEV for a path that leads out of it, by ".." or by a link. */
int path_open_beneath(int directory_fd, const char *path, int flags);

/* As path_open, but only what lies in the root's own mount: -EXDEV for what something was mounted over. */
int path_open_unmounted(int root_fd, const char *path, int flags);

/* Opens (O_PATH) the directory `path`, making it and its parents where they are missing, links to missing
 * places included. Returns a descriptor or -errno. */
int path_make_directory(int root_fd, const char *path);

/* The same for a file, made empty where it is missing. */
int path_make_file(int root_fd, const char *path);

/* Splits `path` at its last component, trailing slashes aside: `parent` gets "/" or what stands before it.
 * Returns 0, or -EINVAL where there is no such component (an empty path, "/", "." or "..") or no room. */
int path_split(const char *path, char *parent, char *name, size_t room);

/* What a link at `path` that says `target` leads to, as a path from the root. Returns 0 or -ENAMETOOLONG. */
int path_follow(const char *path, const char *target, char *out, size_t room);
