/* A container's root, built by the process that lives in it: the device, the OCI default file systems and
 * devices (runtime-spec, config-linux.md), what the request adds, and pivot_root(2) at the end. */
#pragma once

#include "fields.h"

struct root {
    char *device, *fstype;
    char *upper; /* the device that takes what is written, where `device` is only read; "": there is none */
    bool readonly;
    uint64_t grow_bytes;
};

struct container_request {
    char *container, *hostname;
    struct span root_value, mounts, files, sysctls, devices;
    struct root root;
    char *pids; /* the container whose pid namespace it lives in; "": one of its own */
    struct strings masked, readonly_paths;
    uint64_t shm_bytes;
};

/* Decodes a container request; strings live in the arena. Returns 0 or -errno with the failure recorded. */
int root_decode(struct span request, struct container_request *wanted);

/* A directory of the machine that a container's construction may cover with a tmpfs, in its own namespace. */
void root_set_stage(const char *path);

/* Whether the root is a file system of the container's own, and not a directory of somebody else's. */
bool root_is_disk(const struct root *root);

/* Whether what is written to it goes to another disk. */
bool root_has_layer(const struct root *root);

/* Whether it is a root without anything on it, for a process that only keeps the container's namespaces. */
bool root_pauses(const struct root *root);

/* What reaches into a container from outside, wherever its processes have gone since. */
enum root_kept {
    ROOT_FD,         /* its root directory */
    ROOT_STAGE_FD,   /* the tmpfs with the files that were made for it: see files.h */
    ROOT_BOOT_ID_FD, /* a mount that is attached nowhere yet: its boot_id, for files_renew_boot_id */
    ROOT_WRITTEN_FD, /* the directory that takes what is written to it: its root, or that of a layer over it */
    ROOT_KEPT,
};

/* In a process with mount, pid, uts, ipc and cgroup namespaces of its own: what can be done before anybody asks for
 * a container. Returns the stage's descriptor, or -errno with the failure recorded. */
int root_prepare(void);

/* After that, in the same process: builds the root and moves into it. Takes `stage_fd`. Returns 0 or -errno with
 * the failure recorded; the descriptors in `kept` are the caller's either way. */
int root_build(const struct container_request *wanted, int stage_fd, int kept[ROOT_KEPT]);
