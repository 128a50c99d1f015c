/* The containers of this machine: namespaces held by the process that was, or will be, PID 1 in them.
 *
 * `container` takes such a process (init.h), which builds the root and then waits on its channel for the first
 * spawn, which it becomes. So one fork makes a container and its first process. */
#pragma once

#include "cgroup.h"
#include "control.h"
#include "root.h"
#include "spawn.h"

struct container {
    char id[CONTAINER_ID_BYTES + 1];
    bool used;
    bool started; /* the first spawn was sent */
    bool ended;   /* its PID 1 is gone, and everything in it */
    pid_t pid;    /* of its PID 1, in our namespace */
    int pidfd;
    int channel;  /* to PID 1, until it became a program */
    int kept[ROOT_KEPT];
    bool disk;    /* its root is a file system of its own */
    bool frozen;  /* see freeze.h */
    struct cgroup cgroup;
    uint64_t members; /* its mount namespace, see members.h; 0: its pid namespace is its own */
};

op_function op_container;
op_function op_remove;

/* The container with this id, or NULL. */
struct container *container_find(const char *id);

/* The same where something is to happen in it: NULL with the failure recorded where there is none (ENOENT) or it
 * has ended (ESRCH). */
struct container *container_find_running(const char *step, const char *id);

bool container_is_id(const char *id);

/* Calls `visit` for each container that has not ended. */
void containers_each(void (*visit)(struct container *container));

/* `pid` was reaped: if it was a container's PID 1, that container has ended. */
void container_reaped(pid_t pid);

/* Whether there are containers that have ended and whose roots are mounted still: telling of an end does not wait
 * until its root is unmounted. */
bool containers_ended(void);

/* Unmounts the roots of those; with `all` of every container, whose processes are gone then. */
void containers_unmount(bool all);

/* Writes the list of ids. */
void containers_write(struct mpw *w);

/* Forks a child inside the container's pid namespace, which is to call container_join. Returns as fork does. One
 * of its `members` is in its cgroup too; what looks after it from outside must not fail at its limits. */
pid_t container_fork(const struct container *container, bool member);

/* In such a child: enters the other namespaces. Returns 0 or -errno. */
int container_join(const struct container *container);

/* Calls `work` while we are in the container's mount and UTS namespaces. Returns what it does, or -errno with the
 * failure recorded. */
int container_visit(const struct container *container, int (*work)(void *context), void *context);
