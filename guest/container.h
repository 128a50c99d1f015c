/* The containers of this machine: namespaces held by the process that was, or will be, PID 1 in them.
 *
 * `container` clones that process into its namespaces; it builds the root there and then waits on its channel
 * for the first spawn, which it becomes. So one fork makes a container and its first process. */
#pragma once

#include "control.h"
#include "spawn.h"

struct container {
    char id[CONTAINER_ID_BYTES + 1];
    bool used;
    bool started; /* the first spawn was sent */
    bool ended;   /* its PID 1 is gone, and everything in it */
    pid_t pid;    /* of its PID 1, in our namespace */
    int pidfd;
    int channel;  /* to PID 1, until it became a program */
};

op_function op_container;
op_function op_remove;

/* The container with this id, or NULL. */
struct container *container_find(const char *id);

/* `pid` was reaped: if it was a container's PID 1, that container has ended. */
void container_reaped(pid_t pid);

/* Writes the list of ids. */
void containers_write(struct mpw *w);

/* Forks a child inside the container's pid namespace, which is to call container_join. Returns as fork does. */
pid_t container_fork(const struct container *container);

/* In such a child: enters the other namespaces. Returns 0 or -errno. */
int container_join(const struct container *container);
