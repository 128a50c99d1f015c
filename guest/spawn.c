#include "spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "child.h"
#include "network.h"
#include "proc.h"
#include "program.h"
#include "stream.h"

#define START_MS 30000

static const struct field spawn_fields[] = {
    REQUEST_FIELDS,
    NEED(spawn, proc, FIELD_U32),
    NEED(spawn, container, FIELD_STRING),
    NEED(spawn, args, FIELD_STRINGS),
    NEED(spawn, env, FIELD_STRINGS),
    NEED(spawn, cwd, FIELD_STRING),
    MAY(spawn, user, FIELD_STRING),
    MAY(spawn, groups, FIELD_STRINGS),
    {"stdin", FIELD_U32, offsetof(struct spawn, input), true},
    {"stdout", FIELD_U32, offsetof(struct spawn, output), true},
    {"stderr", FIELD_U32, offsetof(struct spawn, error), true},
    {"terminal", FIELD_VALUE, offsetof(struct spawn, terminal_value), true},
    {"caps", FIELD_VALUE, offsetof(struct spawn, caps_value), false},
    MAY(spawn, rlimits, FIELD_VALUE),
    MAY(spawn, umask, FIELD_U32),
    MAY(spawn, no_new_privs, FIELD_BOOL),
    MAY(spawn, oom_score_adj, FIELD_I32),
    MAY(spawn, scheduler, FIELD_VALUE),
    MAY(spawn, io_priority, FIELD_U32),
    MAY(spawn, selinux, FIELD_STRING),
    MAY(spawn, apparmor, FIELD_STRING),
    {"filter", FIELD_VALUE, offsetof(struct spawn, filter_value), true},
    MAY(spawn, init, FIELD_BOOL),
};

static const struct field caps_fields[] = {
    NEED(capabilities, bounding, FIELD_U64),    NEED(capabilities, effective, FIELD_U64),
    NEED(capabilities, inheritable, FIELD_U64), NEED(capabilities, permitted, FIELD_U64),
    NEED(capabilities, ambient, FIELD_U64),
};

static const struct field window_fields[] = {NEED(window, rows, FIELD_U32), NEED(window, cols, FIELD_U32)};

int spawn_decode(struct span request, struct spawn *spawn) {
    struct mp mp = mp_over(request);
    *spawn = (struct spawn){.user = "", .umask = 022, .selinux = "", .apparmor = ""};
    int error = fields_decode(&mp, spawn_fields, COUNT(spawn_fields), spawn);
    if (error < 0)
        return error;
    mp = mp_over(spawn->caps_value);
    error = fields_decode(&mp, caps_fields, COUNT(caps_fields), &spawn->caps);
    if (error == 0)
        error = filter_decode(spawn->filter_value, &spawn->filter);
    if (error < 0)
        return error;
    spawn->has_terminal = spawn->terminal_value.length > 0;
    mp = mp_over(spawn->terminal_value);
    if (spawn->has_terminal)
        error = fields_decode(&mp, window_fields, COUNT(window_fields), &spawn->terminal);
    if (error == 0 && spawn->args.count == 0)
        error = fail(EINVAL, "request", "args (empty)");
    if (error == 0 && spawn->has_terminal && (spawn->error != 0 || spawn->input == 0 || spawn->output == 0))
        error = fail(EINVAL, "request", "a terminal's streams");
    return error;
}

/* ---- pipes ---- */

/* The agent's ends and the child's; -1 where there is no stream. */
struct pipes {
    int ours[3], theirs[3];
};

static void close_pipes(struct pipes *pipes) {
    for (int i = 0; i < 3; i++) {
        close_fd(&pipes->ours[i]);
        close_fd(&pipes->theirs[i]);
    }
}

/* Both outputs are one pipe, so that what is written comes in the order of writing. */
static bool is_merged(const struct spawn *spawn) {
    return spawn->error != 0 && spawn->error == spawn->output;
}

static int open_pipes(const struct spawn *spawn, struct pipes *pipes) {
    const uint32_t streams[3] = {spawn->input, spawn->output, spawn->error};
    for (int i = 0; i < 3; i++) {
        int ends[2];
        if (streams[i] == 0 || spawn->has_terminal)
            continue;
        if (i == 2 && is_merged(spawn)) {
            pipes->theirs[2] = fcntl(pipes->theirs[1], F_DUPFD_CLOEXEC, 3);
            return pipes->theirs[2] < 0 ? fail(errno, "pipe", "stream %u", streams[i]) : 0;
        }
        if (pipe2(ends, O_CLOEXEC) < 0)
            return fail(errno, "pipe", "stream %u", streams[i]);
        pipes->ours[i] = i == 0 ? ends[1] : ends[0];
        pipes->theirs[i] = i == 0 ? ends[0] : ends[1];
        if (fcntl(pipes->ours[i], F_SETFL, O_NONBLOCK) < 0)
            return fail(errno, "pipe", "stream %u", streams[i]);
        /* As much as a window holds, if it can be had: each time that it is full costs a switch, and its cold caches. */
        fcntl(pipes->ours[i], F_SETPIPE_SZ, WINDOW_BYTES);
    }
    return 0;
}

static int check_streams(const struct spawn *spawn) {
    const uint32_t streams[3] = {spawn->input, spawn->output, spawn->error};
    for (int i = 0; i < 3; i++) {
        bool twice = i > 0 && streams[i] == streams[0]; /* the outputs may be one: is_merged() */
        if (streams[i] != 0 && (twice || stream_find(streams[i]) != NULL))
            return fail(EEXIST, "spawn", "stream %u", streams[i]);
    }
    return 0;
}

/* ---- three ways to a child ---- */

struct launch {
    pid_t pid;
    int channel; /* ours, until exec closes the child's end */
};

/* Hands the request to the process that waits to become the container's first. */
static int start_first(struct span request, struct container *container, const struct pipes *pipes,
                       struct launch *launch) {
    int fds[3];
    size_t count = 0;
    for (int i = 0; i < 3; i++)
        if (pipes->theirs[i] >= 0)
            fds[count++] = pipes->theirs[i];
    container->started = true;
    launch->pid = container->pid;
    launch->channel = steal_fd(&container->channel);
    int error = child_send(launch->channel, request.bytes, request.length, fds, count);
    return error < 0 ? fail(-error, "spawn", "%s", container->id) : 0;
}

static int start_child(const struct spawn *spawn, const struct container *container, const struct pipes *pipes,
                       struct launch *launch) {
    int pair[2];
    int error = child_channel(pair);
    if (error < 0)
        return fail(-error, "spawn", "%s", spawn->args.items[0]);
    _cleanup_fd_ int theirs = pair[1];
    launch->channel = pair[0];
    launch->pid = container == NULL ? fork() : container_fork(container, true);
    if (launch->pid < 0)
        return fail(errno, "fork", "%s", spawn->args.items[0]);
    if (launch->pid > 0)
        return 0;
    if (container != NULL && cgroups_join() < 0)
        child_fail(theirs);
    error = container == NULL ? 0 : container_join(container);
    if (error < 0) {
        fail(-error, "join", "%s", spawn->container);
        child_fail(theirs);
    }
    program_run(spawn, pipes->theirs, theirs, false);
}

static int start(struct span request, const struct spawn *spawn, const struct pipes *pipes,
                 struct launch *launch) {
    if (spawn->container[0] == '\0')
        return start_child(spawn, NULL, pipes, launch);
    struct container *container = container_find(spawn->container);
    if (container == NULL)
        return fail(ENOENT, "spawn", "container %s", spawn->container);
    if (container->ended)
        return fail(ESRCH, "spawn", "container %s has ended", spawn->container);
    if (!container->started)
        return start_first(request, container, pipes, launch);
    return start_child(spawn, container, pipes, launch);
}

/* Waits until the child is the program. Its terminal's master, if it has one, goes to `terminal`. */
static int await_exec(const struct launch *launch, int *terminal) {
    int64_t deadline = now_ms() + START_MS;
    for (;;) {
        int passed = -1, report = child_wait(launch->channel, deadline, &passed, 1);
        if (report == REPORT_TERMINAL && *terminal < 0)
            *terminal = steal_fd(&passed);
        close_fd(&passed);
        if (report == REPORT_END)
            return 0;
        if (report < 0)
            return report;
    }
}

/* ---- the op ---- */

static int open_streams(const struct spawn *spawn, struct pipes *pipes, int terminal) {
    const uint32_t ids[3] = {spawn->input, spawn->output, spawn->error};
    if (spawn->has_terminal) {
        if (terminal < 0)
            return fail(EIO, "terminal", "%s", spawn->args.items[0]);
        pipes->ours[1] = terminal;
        pipes->ours[0] = fcntl(terminal, F_DUPFD_CLOEXEC, 3);
        if (pipes->ours[0] < 0)
            return fail(errno, "terminal", "%s", spawn->args.items[0]);
    }
    for (int i = 0; i < 3; i++) {
        if (ids[i] == 0 || (i == 2 && is_merged(spawn)))
            continue;
        int fd = steal_fd(&pipes->ours[i]);
        enum stream_kind kind = spawn->has_terminal ? STREAM_TERMINAL : STREAM_PIPE;
        struct stream *stream =
            i == 0 ? stream_open_input(ids[i], fd, kind) : stream_open_output(ids[i], fd, kind);
        if (stream == NULL) {
            close_fd(&fd);
            return fail(ENOSPC, "spawn", "more than %u streams", MAX_STREAMS);
        }
    }
    return 0;
}

static void release_streams(const struct spawn *spawn) {
    stream_release(stream_find(spawn->input));
    stream_release(stream_find(spawn->output));
    stream_release(stream_find(spawn->error));
}

static void keep_record(struct proc *proc, const struct spawn *spawn, pid_t pid) {
    strcpy(proc->container, spawn->container); /* its length was checked when the container was made */
    proc->pid = pid;
    proc->input = spawn->input;
    proc->output = spawn->output;
    proc->error = is_merged(spawn) ? 0 : spawn->error;
    proc->terminal = spawn->has_terminal;
    proc->used = true;
}

static int serve(struct span request, const struct spawn *spawn, struct pipes *pipes, struct proc *proc) {
    struct launch launch = {.pid = -1, .channel = -1};
    int terminal = -1;
    int error = open_pipes(spawn, pipes);
    if (error == 0)
        error = start(request, spawn, pipes, &launch);
    if (error == 0)
        error = await_exec(&launch, &terminal);
    close_fd(&launch.channel);
    if (error == 0) {
        error = open_streams(spawn, pipes, steal_fd(&terminal));
    }
    close_fd(&terminal);
    if (error < 0 && launch.pid > 0) {
        kill(launch.pid, SIGKILL); /* not reaped yet, so the number is still its own */
        release_streams(spawn);
        return error;
    }
    if (error == 0)
        keep_record(proc, spawn, launch.pid);
    return error;
}

int op_spawn(struct span request, struct mpw *ok) {
    struct spawn spawn;
    struct pipes pipes = {{-1, -1, -1}, {-1, -1, -1}};
    int error = spawn_decode(request, &spawn);
    if (error == 0)
        error = check_streams(&spawn);
    if (error < 0)
        return error;
    network_open_to_others();
    struct proc *proc = proc_reserve(spawn.proc, container_find(spawn.container));
    if (proc == NULL)
        return -failure_last()->error;
    error = serve(request, &spawn, &pipes, proc);
    close_pipes(&pipes);
    if (error < 0)
        return error;
    mpw_map(ok, 1);
    mpw_string(ok, "pid");
    mpw_unsigned(ok, (uint64_t)proc->pid);
    return 0;
}
