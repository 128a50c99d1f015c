#include "proc.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "members.h"
#include "oom.h"
#include "port.h"
#include "stream.h"
#include "terminal.h"


static struct proc procs[MAX_PROCS];
static size_t procs_used; /* slots from here on were never used */

/* ---- the table ---- */

static struct proc *find(uint32_t id) {
    for (size_t i = 0; i < procs_used; i++)
        if (procs[i].used && procs[i].id == id)
            return &procs[i];
    return NULL;
}

static struct proc *find_or_fail(const char *step, uint32_t id) {
    struct proc *proc = find(id);
    if (proc == NULL)
        fail(ENOENT, step, "proc %u", id);
    return proc;
}

static uint64_t kills_of(const struct container *container) {
    return oom_kills(container == NULL ? NULL : &container->cgroup);
}

struct proc *proc_reserve(uint32_t id, const struct container *container) {
    struct proc *free_slot = NULL;
    if (find(id) != NULL) {
        fail(EEXIST, "spawn", "proc %u", id);
        return NULL;
    }
    for (size_t i = 0; i < procs_used && free_slot == NULL; i++)
        if (!procs[i].used)
            free_slot = &procs[i];
    if (free_slot == NULL && procs_used < MAX_PROCS)
        free_slot = &procs[procs_used++];
    if (free_slot == NULL) {
        fail(ENOSPC, "spawn", "more than %u processes", MAX_PROCS);
        return NULL;
    }
    *free_slot = (struct proc){.id = id, .oom_kills = kills_of(container)};
    return free_slot;
}

void procs_follow(const char *from, const char *to) {
    for (size_t i = 0; i < procs_used; i++)
        if (procs[i].used && strcmp(procs[i].container, from) == 0)
            strcpy(procs[i].container, to); /* an id: its length was checked */
}

/* ---- how they end ---- */

static void write_number_or_nil(struct mpw *w, bool known, int number) {
    if (known)
        mpw_unsigned(w, (uint64_t)number);
    else
        mpw_nil(w);
}

/* The five keys of an exit. */
static void write_exit(struct mpw *w, const struct proc *proc) {
    bool exited = WIFEXITED(proc->status);
    mpw_string(w, "code");
    write_number_or_nil(w, exited, WEXITSTATUS(proc->status));
    mpw_string(w, "signal");
    write_number_or_nil(w, !exited, WTERMSIG(proc->status));
    mpw_string(w, "core");
    mpw_bool(w, !exited && WCOREDUMP(proc->status));
    mpw_string(w, "time_ns");
    mpw_unsigned(w, proc->exit_time_ns);
    mpw_string(w, "oom");
    mpw_bool(w, proc->out_of_memory);
}

static void send_exit(const struct proc *proc) {
    uint8_t event[256];
    struct mpw w = {.bytes = event, .room = sizeof(event)};
    mpw_map(&w, 7);
    mpw_string(&w, "ev");
    mpw_string(&w, "exit");
    mpw_string(&w, "proc");
    mpw_unsigned(&w, proc->id);
    write_exit(&w, proc);
    port_send_control(&w);
}

/* A shell reports its child's death as a failure of its own, so failures count, too. */
static bool ended_for_memory(const struct proc *proc) {
    bool failed = WIFEXITED(proc->status) ? WEXITSTATUS(proc->status) != 0
                                          : WTERMSIG(proc->status) == SIGKILL && !proc->killed;
    bool inside = !proc->tree && proc->container[0] != '\0';
    const struct container *container = inside ? container_find(proc->container) : NULL;
    if (inside && (container == NULL || container->kept[ROOT_FD] < 0))
        return false; /* it is gone, with what was counted */
    return failed && kills_of(container) > proc->oom_kills;
}

static void note_exit(struct proc *proc, int status) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    proc->exited = true;
    proc->status = status;
    proc->out_of_memory = ended_for_memory(proc);
    proc->exit_time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    send_exit(proc);
    if (proc->terminal)
        stream_orphan(stream_find(proc->output));
}

void procs_reap(void) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        container_reaped(pid);
        for (size_t i = 0; i < procs_used; i++)
            if (procs[i].used && !procs[i].exited && procs[i].pid == pid)
                note_exit(&procs[i], status);
    }
}

bool procs_end_trees(const char *container) {
    bool some = false;
    for (size_t i = 0; i < procs_used; i++) {
        struct proc *proc = &procs[i];
        if (!proc->used || !proc->tree || proc->exited || strcmp(proc->container, container) != 0)
            continue;
        kill(proc->pid, SIGKILL);
        some = true;
    }
    return some;
}

/* ---- hello ---- */

static void write_proc(struct mpw *w, const struct proc *proc) {
    const struct stream *input = stream_find(proc->input);
    mpw_map(w, 8);
    mpw_string(w, "proc");
    mpw_unsigned(w, proc->id);
    mpw_string(w, "container");
    mpw_string(w, proc->container);
    mpw_string(w, "pid");
    mpw_unsigned(w, (uint64_t)proc->pid);
    mpw_string(w, "stdin");
    mpw_unsigned(w, proc->input);
    mpw_string(w, "stdin_offset");
    mpw_unsigned(w, input == NULL ? 0 : input->ring.last);
    mpw_string(w, "stdout");
    mpw_unsigned(w, proc->output);
    mpw_string(w, "stderr");
    mpw_unsigned(w, proc->error);
    mpw_string(w, "exit");
    if (!proc->exited) {
        mpw_nil(w);
        return;
    }
    mpw_map(w, 5);
    write_exit(w, proc);
}

void procs_write(struct mpw *w) {
    uint32_t count = 0;
    size_t opened = mpw_open_array(w);
    for (size_t i = 0; i < procs_used; i++) {
        if (!procs[i].used)
            continue;
        write_proc(w, &procs[i]);
        count++;
    }
    mpw_patch_array(w, opened, count);
}

/* ---- the ops ---- */

struct signal_request {
    uint32_t proc, signal;
    bool all, group;
};

static const struct field signal_fields[] = {
    REQUEST_FIELDS,
    NEED(signal_request, proc, FIELD_U32),
    NEED(signal_request, signal, FIELD_U32),
    MAY(signal_request, all, FIELD_BOOL),
    MAY(signal_request, group, FIELD_BOOL),
};

/* kill(-1) inside the pid namespace reaches all of it at once, however fast it forks, except its PID 1. */
static int signal_container(struct container *container, int number) {
    if (container->members != 0) {
        members_signal(container, number);
        return 0;
    }
    pid_t pid = container_fork(container, false);
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        kill(-1, number);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return kill(container->pid, number) < 0 && errno != ESRCH ? -errno : 0;
}

/* The host ends it, or with `all` everything of its container: not for want of memory. */
static void note_killed(struct proc *proc, bool all) {
    proc->killed = true;
    for (size_t i = 0; all && i < procs_used; i++)
        procs[i].killed |= strcmp(procs[i].container, proc->container) == 0;
}

int op_signal(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct signal_request wanted = {0};
    int error = fields_decode(&mp, signal_fields, COUNT(signal_fields), &wanted);
    if (error < 0)
        return error;
    struct proc *proc = find_or_fail("signal", wanted.proc);
    if (proc == NULL)
        return -ENOENT;
    if (wanted.signal > (uint32_t)SIGRTMAX)
        return fail(EINVAL, "signal", "%u", wanted.signal);
    struct container *container = container_find(proc->container);
    if (wanted.signal == SIGKILL)
        note_killed(proc, wanted.all);
    if (wanted.all && container != NULL && !container->ended)
        error = signal_container(container, (int)wanted.signal);
    else if (proc->exited)
        error = -ESRCH;
    else
        error = kill(wanted.group ? -proc->pid : proc->pid, (int)wanted.signal) < 0 ? -errno : 0; /* it did setsid() */
    return error < 0 ? fail(-error, "signal", "proc %u", wanted.proc) : 0;
}

struct resize_request {
    uint32_t proc;
    struct window window;
};

static const struct field resize_fields[] = {
    REQUEST_FIELDS,
    NEED(resize_request, proc, FIELD_U32),
    {"rows", FIELD_U32, offsetof(struct resize_request, window.rows), false},
    {"cols", FIELD_U32, offsetof(struct resize_request, window.cols), false},
};

int op_resize(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct resize_request wanted;
    int error = fields_decode(&mp, resize_fields, COUNT(resize_fields), &wanted);
    if (error < 0)
        return error;
    struct proc *proc = find_or_fail("resize", wanted.proc);
    if (proc == NULL)
        return -ENOENT;
    struct stream *output = stream_find(proc->output);
    if (!proc->terminal || output == NULL || output->fd < 0)
        return fail(ENOTTY, "resize", "proc %u", wanted.proc);
    error = terminal_resize(output->fd, &wanted.window);
    return error < 0 ? fail(-error, "resize", "proc %u", wanted.proc) : 0;
}

struct forget_request {
    uint32_t proc;
};

static const struct field forget_fields[] = {REQUEST_FIELDS, NEED(forget_request, proc, FIELD_U32)};

int op_forget(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct forget_request wanted;
    int error = fields_decode(&mp, forget_fields, COUNT(forget_fields), &wanted);
    if (error < 0)
        return error;
    struct proc *proc = find_or_fail("forget", wanted.proc);
    if (proc == NULL)
        return -ENOENT;
    if (!proc->exited)
        return fail(EBUSY, "forget", "proc %u", wanted.proc);
    stream_release(stream_find(proc->input));
    stream_release(stream_find(proc->output));
    stream_release(stream_find(proc->error));
    proc->used = false;
    return 0;
}
