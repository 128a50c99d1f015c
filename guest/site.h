/* A container's root while it is being built: what the construction holds open, and how it mounts there. */
#pragma once

#include "mounts.h"
#include "root.h"

/* How pseudo file systems are mounted: nothing on them can be run, or be a device. */
#define SITE_INERT (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define SITE_HIDDEN (SITE_INERT | MOUNT_ATTR_RDONLY)

struct site {
    const struct container_request *wanted;
    int stage_fd; /* a tmpfs of this container alone, gone with its namespace but for what was bound out of it */
    int root_fd;
    int written_fd; /* see ROOT_WRITTEN_FD */
    int boot_id_fd; /* a mount, attached nowhere */
};

/* Attaches `mount_fd` (or passes its -errno on) at `target` in the container, which is made when missing. Returns
 * 0 or -errno with the failure recorded, as all of these do. */
int site_attach(const struct site *site, int mount_fd, const char *target, bool directory);

/* Mounts a new file system of `type` at `target`. */
int site_mount(const struct site *site, const char *type, const char *target,
               const struct mount_options *options);

/* Mounts what every container has: /proc, /dev with its devices, /dev/pts, /dev/shm, /dev/mqueue, /sys
 * (runtime-spec, config-linux.md, "Default Filesystems" and "Default Devices"). Nothing needs to be known of the
 * container for that: `root_fd` is a directory that they wait in. */
int site_prepare_defaults(const struct site *site);

/* Moves them from there to the container's root, and gives /dev/shm its size. */
int site_take_defaults(const struct site *site, int prepared_fd);
