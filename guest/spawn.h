/* `spawn`: a request becomes a process. The agent makes its pipes; a child becomes it (program.c). */
#pragma once

#include "control.h"
#include "filter.h"

struct capabilities {
    uint64_t bounding, effective, inheritable, permitted, ambient;
};

struct window {
    uint32_t rows, cols;
};

struct spawn {
    uint32_t proc;
    char *container;
    struct strings args, env;
    char *cwd, *user;
    struct strings groups;
    uint32_t input, output, error; /* stream ids; 0: /dev/null. The outputs may have the same one */
    struct span terminal_value, caps_value, filter_value, rlimits, scheduler;
    bool has_terminal;
    struct window terminal;
    uint32_t umask;
    bool no_new_privs, init;
    struct capabilities caps;
    int32_t oom_score_adj;
    uint32_t io_priority;
    char *selinux, *apparmor;
    struct filter filter;
};

/* Decodes a spawn request; strings live in the arena. Returns 0 or -errno with the failure recorded. */
int spawn_decode(struct span request, struct spawn *spawn);

op_function op_spawn;
