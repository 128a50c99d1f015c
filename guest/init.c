#include "init.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "child.h"
#include "pause.h"
#include "pids.h"
#include "program.h"
#include "root.h"

/* ---- in the process itself ---- */

static _Noreturn void await_first_spawn(int channel, bool pauses) {
    int stdio[3] = {-1, -1, -1};
    struct spawn spawn;
    uint8_t *request;
    arena_reset();
    ssize_t length = child_receive(channel, &request, stdio, 3);
    if (length <= 0)
        _exit(0); /* the container was removed before anything ran in it */
    if (spawn_decode((struct span){request, (uint32_t)length}, &spawn) < 0)
        child_fail(channel);
    if (pauses)
        pause_run(channel);
    /* Only the descriptors of streams travelled: put /dev/null where there is none. */
    int next = 0, all[3];
    const uint32_t streams[3] = {spawn.input, spawn.output, spawn.error};
    for (int i = 0; i < 3; i++)
        all[i] = streams[i] != 0 && !spawn.has_terminal ? stdio[next++] : -1;
    program_run(&spawn, all, channel, true);
}

/* `stage_fd` is what root_prepare returned. Returns whether it is to pause. */
static bool become_container(int channel, int stage_fd) {
    struct container_request wanted;
    uint8_t *request;
    int kept[ROOT_KEPT];
    arena_reset();
    ssize_t length = child_receive(channel, &request, NULL, 0);
    if (length <= 0)
        _exit(0);
    if (stage_fd < 0 || root_decode((struct span){request, (uint32_t)length}, &wanted) < 0 ||
        root_build(&wanted, stage_fd, kept) < 0)
        child_fail(channel);
    child_report(channel, REPORT_READY, kept, ROOT_KEPT);
    for (size_t i = 0; i < ROOT_KEPT; i++)
        close_fd(&kept[i]);
    return root_pauses(&wanted.root);
}

static int prepare(void) {
    return unshare(CLONE_NEWCGROUP) < 0 ? fail(errno, "namespaces", "cgroup") : root_prepare();
}

static _Noreturn void live(int channel) {
    if (cgroups_join() < 0)
        child_fail(channel);
    /* Other processes' pipes must not stay open here, nor may a program see what we are. */
    if (dup3(channel, 3, O_CLOEXEC) < 0 && channel != 3)
        _exit(127);
    child_clean(4);
    await_first_spawn(3, become_container(3, prepare()));
}

/* ---- in the agent ---- */

static struct init spare = {-1, -1, -1, {.fd = -1}};

/* Its cgroup namespace is made when it is in its cgroup, which is to be the root there. */
static pid_t clone_process(int *pidfd, const struct cgroup *cgroup, uint64_t namespaces) {
    struct clone_args arguments = {
        .flags = (INIT_NAMESPACES & ~CLONE_NEWCGROUP) | namespaces | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    if (cgroup->fd >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroup->fd;
    }
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
}

static int make(struct init *init, uint64_t namespaces) {
    int pair[2];
    int error = child_channel(pair);
    if (error < 0)
        return fail(-error, "container", "a channel");
    _cleanup_fd_ int ours = pair[0];
    _cleanup_fd_ int theirs = pair[1];
    init->cgroup = cgroup_make();
    init->pid = clone_process(&init->pidfd, &init->cgroup, namespaces);
    if (init->pid < 0) {
        error = errno;
        cgroup_remove(&init->cgroup);
        return fail(error, "namespaces", "a process");
    }
    if (init->pid == 0)
        live(theirs);
    init->channel = steal_fd(&ours);
    return 0;
}

static int make_spare(void) {
    return make(&spare, CLONE_NEWPID);
}

void init_prepare(void) {
    if (make_spare() < 0)
        say("%s: %s", failure_last()->step, strerror(failure_last()->error));
}

int init_take(struct init *init) {
    int error = spare.pid < 0 ? make_spare() : 0;
    if (error < 0)
        return error;
    *init = spare;
    spare = (struct init){-1, -1, -1, NO_CGROUP};
    return 0;
}

int init_take_beside(struct init *init, int home_pidfd) {
    *init = (struct init){-1, -1, -1, NO_CGROUP};
    int error = pids_enter(home_pidfd);
    if (error < 0)
        return fail(-error, "namespaces", "the other container");
    error = make(init, 0);
    pids_leave();
    return error;
}

void init_forget(void) {
    if (spare.pid < 0)
        return;
    kill(spare.pid, SIGKILL);
    waitpid(spare.pid, NULL, 0);
    init_reaped(spare.pid);
}

void init_reaped(pid_t pid) {
    if (spare.pid != pid)
        return;
    close_fd(&spare.pidfd);
    close_fd(&spare.channel);
    cgroup_remove(&spare.cgroup);
    spare.pid = -1;
}
