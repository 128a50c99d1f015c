/* The process that becomes a container, and then the container's first program: cloned into namespaces of its own,
 * it waits on its channel for the `container` request, builds the root, reports, and waits for the first `spawn`.
 *
 * In a machine one is kept ready before anybody asks: in a template that is done once for all forks. */
#pragma once

#include <sched.h>

#include "cgroup.h"

#define INIT_NAMESPACES (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP)

struct init {
    pid_t pid;
    int pidfd;
    int channel; /* child.h; it waits for a request */
    struct cgroup cgroup;
};

/* Keeps one ready; says on the console where that fails. */
void init_prepare(void);

/* Gives away the one that is ready, or a new one. Returns 0, or -errno with the failure recorded. */
int init_take(struct init *init);

/* Gives one that lives in the pid namespace of the process `home_pidfd`. Returns as init_take does. */
int init_take_beside(struct init *init, int home_pidfd);

/* Gives up the one that is ready: the next is made when it is asked for, with the machine's mounts as they are then. */
void init_forget(void);

/* `pid` was reaped, maybe the one that was ready. */
void init_reaped(pid_t pid);
