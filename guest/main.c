/* firkin's guest agent: PID 1 of a machine, or of a pid namespace.
 *
 *     /init port=NAME cards=N          as the kernel starts it (everything behind ` -- ` of its command line)
 *     agent --fd N [--stage DIR]       serving an inherited stream or listening socket, as PID 1 of a namespace
 *     agent --fd N --launch P --tie T  making that namespace before, as descriptor P says (launch.h)
 *
 * One thread, one epoll loop. What goes on in it: port.c takes requests to control.c, which calls an op; children
 * write into streams (stream.c), which port.c sends as the host grants credit; exits are reaped here. */
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/vfs.h>

#include "boot.h"
#include "cgroup.h"
#include "container.h"
#include "control.h"
#include "init.h"
#include "launch.h"
#include "port.h"
#include "power.h"
#include "proc.h"
#include "program.h"
#include "reaper.h"
#include "root.h"
#include "stream.h"
#include "watch.h"

/* What a login on a current distribution has for its hard limit. */
#define FILE_LIMIT 524288u

static struct {
    struct watch watch;
    int fd;
} exits;

static void child_exited(struct watch *watch, uint32_t events) {
    (void)watch, (void)events;
    struct signalfd_siginfo ignored[16];
    while (read(exits.fd, ignored, sizeof(ignored)) > 0)
        ;
    procs_reap();
}

/* Each stream takes a descriptor, so we need more than programs expect to be given. */
static void raise_file_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    program_keep_file_limit(limit.rlim_cur);
    limit.rlim_cur = limit.rlim_max = limit.rlim_max > FILE_LIMIT ? limit.rlim_max : FILE_LIMIT;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int watch_exits(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    exits.watch.ready = child_exited;
    exits.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return exits.fd < 0 ? -errno : watch_add(exits.fd, &exits.watch);
}

/* `alone`: of everything that it is PID 1 of, it is the first process, and nothing else is to be mounted there. */
static _Noreturn void serve(int fd, bool machine, bool alone) {
    raise_file_limit();
    int error = watch_init();
    if (error == 0)
        error = streams_init();
    if (error == 0)
        error = watch_exits();
    if (error == 0)
        error = port_serve(fd, machine);
    if (error < 0) {
        say("cannot serve: %s", strerror(-error));
        power_off(machine);
    }
    /* A container's process must neither trace a child that still is us, nor open our binary through it. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    /* Don't preempt whoever wrote a line to hear of it: where there is one processor, a program that writes many
     * short lines then fills its pipe first, and they travel in one frame. Nobody waits longer for its last line. */
    const struct sched_param none = {0};
    sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &none);
    if (machine)
        cgroups_begin();
    if (alone)
        init_prepare();
    bool more = true, ended = false;
    while (!port_gone()) {
        bool heard = watch_wait(more || ended ? 0 : -1);
        more = port_work();
        if (ended && !heard && !more)
            containers_unmount(false);
        ended = containers_ended();
    }
    power_off(machine);
}

static _Noreturn void run_machine(int count, char **arguments) {
    const char *port = "agent";
    unsigned long cards = 1;
    for (int i = 1; i < count; i++)
        if (strncmp(arguments[i], "port=", 5) == 0)
            port = arguments[i] + 5;
        else if (strncmp(arguments[i], "cards=", 6) == 0)
            cards = strtoul(arguments[i] + 6, NULL, 10);
    control_own_machine(true);
    power_own_machine(true);
    serve(boot_machine(port, (uint32_t)cards), true, true);
}

/* Only a machine's init lives in an initramfs; anywhere else, mounting and powering off is not for us. */
static bool in_initramfs(void) {
    struct statfs root;
    return getpid() == 1 && statfs("/", &root) == 0 && (root.f_type == RAMFS_MAGIC || root.f_type == TMPFS_MAGIC);
}

static _Noreturn void usage(const char *why) {
    say("%s; usage: agent --fd N [--stage DIR], as PID 1 of a pid namespace, or with --launch P --tie T", why);
    _exit(2);
}

int main(int count, char **arguments) {
    int fd = -1, plan_fd = -1, tie_fd = -1;
    reaper_run(arguments);
    control_begin();
    if (count < 2 || strcmp(arguments[1], "--fd") != 0) {
        if (!in_initramfs())
            usage("not a machine's init");
        run_machine(count, arguments);
    }
    for (int i = 1; i + 1 < count; i += 2) {
        if (strcmp(arguments[i], "--fd") == 0)
            fd = atoi(arguments[i + 1]);
        else if (strcmp(arguments[i], "--stage") == 0)
            root_set_stage(arguments[i + 1]);
        else if (strcmp(arguments[i], "--launch") == 0)
            plan_fd = atoi(arguments[i + 1]);
        else if (strcmp(arguments[i], "--tie") == 0)
            tie_fd = atoi(arguments[i + 1]);
        else
            usage(arguments[i]);
    }
    if (plan_fd >= 0 && tie_fd >= 0 && fd >= 0)
        launch(plan_fd, tie_fd, fd);
    /* Ending everything, as poweroff does, would else end everything of the caller's. */
    if (getpid() != 1)
        usage("not PID 1 of a pid namespace");
    if (fd < 0)
        usage("no descriptor");
    fill_standard_fds();
    serve(fd, false, plan_fd >= 0);
}
