/* The processes that the host asked for: from spawn until the host forgets them. */
#pragma once

#include "container.h"

struct proc {
    uint32_t id; /* the host's number */
    char container[CONTAINER_ID_BYTES + 1];
    pid_t pid;
    uint32_t input, output, error; /* stream ids */
    bool used, terminal, exited;
    bool tree; /* a child of ours that works on a container's files: see tree.h */
    int status; /* as waitpid(2) has it */
    uint64_t exit_time_ns;
    uint64_t oom_kills; /* when it was started */
    bool killed;        /* the host has sent it SIGKILL */
    bool out_of_memory; /* it ended for want of memory: see oom.h */
};

/* A free record for the host's number `id`, of a process of `container` (NULL: of none, or one of ours that works on
 * its files), or NULL with the failure recorded (EEXIST, ENOSPC). It is used from the moment on that the caller sets
 * `used`. */
struct proc *proc_reserve(uint32_t id, const struct container *container);

/* The container `from` is called `to` from now on. */
void procs_follow(const char *from, const char *to);

/* Reaps what has exited, ours or an orphan, and queues the exit events. */
void procs_reap(void);

/* Ends what works on the files of a container that has ended. Returns whether some of it has not ended yet. */
bool procs_end_trees(const char *container);

/* Writes the list for `hello`. */
void procs_write(struct mpw *w);

op_function op_signal;
op_function op_resize;
op_function op_forget;
