/* The cgroups (v2) of a machine: one for each container, from before its first process until it is gone, so that
 * what is counted and limited there is the container's and nothing else's. The agent stays in the root, whose
 * controllers it hands down. Where there are none (a kernel without them) containers live without.
 *
 * In a namespace the host makes, limits, counts and removes them, and gives us descriptors: of a group's directory
 * (v2), which a process is born into; or of the cgroup.procs of each group (v1), which a process joins by writing to
 * it. The kernel heeds who opened those, so that whoever has none cannot leave. */
#pragma once

#include "util.h"

struct cgroup {
    int fd; /* its directory; -1: none */
    uint32_t number;
};

#define NO_CGROUP ((struct cgroup){.fd = -1})

/* Mounts the hierarchy, seen by nobody else, and hands down the controllers that there are. Says on the console
 * where that fails. */
void cgroups_begin(void);

#define CGROUPS_GIVEN 16u

/* Takes over the descriptors that the host gave a namespace; `kinds` has a letter for each: 'i' the directory to be
 * born into, 'j' a file to join by, 'o' where the kernel counts whom it killed for want of memory. Returns 0 or
 * -EPROTO. */
int cgroups_take(const char *kinds, int *fds, size_t count);

/* In a child that is to belong to the container: joins what the host gave, before anything runs. Returns 0 or
 * -errno with the failure recorded. */
int cgroups_join(void);

/* A new one, empty, or in a namespace the one that the host gave; NO_CGROUP where there are none. */
struct cgroup cgroup_make(void);

/* Removes it, whose processes are gone, with those that the container made inside. May be called twice. */
void cgroup_remove(struct cgroup *cgroup);

/* Forks a child into it, where there is one. Returns as fork does. */
pid_t cgroup_fork(const struct cgroup *cgroup);

/* Whether process `pid`, as /proc here has it, is in it or in one that was made inside. */
bool cgroup_has(const struct cgroup *cgroup, pid_t pid);

/* Whether a process lives in it, or inside. */
bool cgroup_populated(const struct cgroup *cgroup);

/* Kills everything in it and inside, however fast that forks. Returns 0 or -errno, as where the kernel cannot. */
int cgroup_kill(const struct cgroup *cgroup);

#define CGROUP_FILE_BYTES 65536u

/* The value behind `key` in a text of "key value" lines; 0 where it is not there. */
uint64_t cgroup_value(const char *text, const char *key);

/* The number in `file` of it; `none` where there is none, as in "max". */
uint64_t cgroup_read(const struct cgroup *cgroup, const char *file, uint64_t none);
