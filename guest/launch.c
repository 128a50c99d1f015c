#include "launch.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "cgroup.h"
#include "child.h"
#include "fields.h"
#include "mounts.h"
#include "network.h"
#include "path.h"
#include "root.h"

#define PLAN_BYTES 65536u
#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)
#define STAGE "/run"

/* The helper finds PID 1's namespaces as these descriptors. */
#define HELPER_USER 10
#define HELPER_NET 11
#define NETWORK_MS 20000

/* ---- the plan ---- */

struct plan {
    char *site;         /* a directory of the host that the namespace's own root is mounted over */
    char *dir;          /* the container's, where "upper" and "work" are, made when missing */
    char *lower;        /* what the overlay shows; "": "upper" is the whole root */
    char *fuse;         /* the program that shows the overlay (fuse-overlayfs); "": the kernel does */
    struct strings binds; /* what the agent finds at /binds/0, /binds/1, ...: paths, or descriptors of mounts */
    uint32_t owner;        /* the process whose thread started us, and which we end with; 0: none */
    struct strings helper; /* the program that brings the network, with HELPER_USER and HELPER_NET; none: no network */
};

static const struct field plan_fields[] = {
    NEED(plan, site, FIELD_STRING),
    NEED(plan, dir, FIELD_STRING),
    NEED(plan, lower, FIELD_STRING),
    NEED(plan, fuse, FIELD_STRING),
    NEED(plan, binds, FIELD_STRINGS),
    NEED(plan, helper, FIELD_STRINGS),
    MAY(plan, owner, FIELD_U32),
};

static int read_plan(int fd, struct plan *plan) {
    static uint8_t bytes[PLAN_BYTES];
    ssize_t length = pread(fd, bytes, sizeof(bytes), 0);
    if (length < 0 || length == sizeof(bytes))
        return fail(length < 0 ? errno : E2BIG, "plan", "%zd bytes", length);
    struct mp mp = mp_over((struct span){bytes, (uint32_t)length});
    return fields_decode(&mp, plan_fields, COUNT(plan_fields), plan);
}

/* ---- what it is built of ---- */

/* Opened in PID 1's own mount namespace, as mounting wants it, but with the rights of whoever started it: what he can
 * reach, the namespace's root need not. */
struct sources {
    int site_fd, lower_fd, upper_fd, work_fd; /* -1: there is none */
    int *bind_fds;
};

static bool is_handed(const char *bind) {
    return bind[0] != '/';
}

static int open_binds(const struct strings *binds, int *fds) {
    for (uint32_t i = 0; i < binds->count; i++) {
        fds[i] = is_handed(binds->items[i]) ? atoi(binds->items[i]) : open(binds->items[i], O_PATH | O_CLOEXEC);
        if (fds[i] < 0)
            return fail(errno, "mount", "%s", binds->items[i]);
    }
    return 0;
}

/* What the overlay shows of its top directory is the upper one's. */
static int make_upper(int dir_fd, int lower_fd) {
    struct stat lower;
    if (mkdirat(dir_fd, "upper", 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    if (fstat(lower_fd, &lower) < 0 || fchownat(dir_fd, "upper", lower.st_uid, lower.st_gid, 0) < 0 ||
        fchmodat(dir_fd, "upper", lower.st_mode & 07777, 0) < 0)
        return -errno;
    return 0;
}

static int open_directory_at(int dir_fd, const char *path, int *fd) {
    *fd = openat(dir_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *fd < 0 ? -errno : 0;
}

static int open_layers(int dir_fd, const char *lower, struct sources *sources) {
    int error = open_directory_at(AT_FDCWD, lower, &sources->lower_fd);
    if (error == 0)
        error = make_upper(dir_fd, sources->lower_fd);
    if (error == 0 && mkdirat(dir_fd, "work", 0700) < 0 && errno != EEXIST)
        error = -errno;
    return error == 0 ? open_directory_at(dir_fd, "work", &sources->work_fd) : error;
}

static int open_sources(const struct plan *plan, struct sources *sources) {
    *sources = (struct sources){-1, -1, -1, -1, arena_alloc((plan->binds.count + 1) * sizeof(int), sizeof(int))};
    if (sources->bind_fds == NULL)
        return fail(E2BIG, "mount", "%u directories", plan->binds.count);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return fail(errno, "mount", "/ (private)");
    int error = open_binds(&plan->binds, sources->bind_fds);
    if (error < 0)
        return error;
    error = open_directory_at(AT_FDCWD, plan->site, &sources->site_fd);
    if (error < 0)
        return fail(-error, "mount", "%s", plan->site);
    _cleanup_fd_ int dir_fd = open(plan->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    error = dir_fd < 0 ? -errno : plan->lower[0] == '\0' ? 0 : open_layers(dir_fd, plan->lower, sources);
    if (error == 0)
        error = open_directory_at(dir_fd, "upper", &sources->upper_fd);
    return error < 0 ? fail(-error, "layer", "%s", plan->dir) : 0;
}

static void close_sources(struct sources *sources, uint32_t bind_count) {
    for (uint32_t i = 0; i < bind_count; i++)
        close(sources->bind_fds[i]);
    close_fd(&sources->site_fd);
    close_fd(&sources->lower_fd);
    close_fd(&sources->upper_fd);
    close_fd(&sources->work_fd);
}

/* ---- the root that the agent lives in ---- */

static int attach_at(int site_fd, int mount_fd, const char *name) {
    _cleanup_fd_ int target_fd = mount_fd < 0 ? mount_fd : openat(site_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int error = target_fd < 0 ? (mount_fd < 0 ? mount_fd : -errno) : mount_attach(mount_fd, target_fd);
    return error < 0 ? fail(-error, "mount", "/%s", name) : 0;
}

static int open_site(const char *path, int target_fd) {
    const struct mount_options options = {
        .attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, .settings = {{"mode", "0755"}}, .setting_count = 1,
    };
    static const char *const directories[] = {"proc", "sys", "dev", "run", "root", "binds"};
    _cleanup_fd_ int site_fd = mount_new("tmpfs", NULL, &options);
    int error = site_fd < 0 ? site_fd : mount_attach(site_fd, target_fd);
    if (error < 0)
        return fail(-error, "mount", "%s", path);
    for (size_t i = 0; i < COUNT(directories); i++)
        if (mkdirat(site_fd, directories[i], 0755) < 0)
            return fail(errno, "mkdir", "/%s", directories[i]);
    return steal_fd(&site_fd);
}

/* The host's own, and what is mounted below it, which nobody can take away. */
static int show_host(int site_fd, const char *name, bool recursive) {
    char path[32];
    snprintf(path, sizeof(path), "/%s", name);
    _cleanup_fd_ int fd = open(path, O_PATH | O_CLOEXEC);
    _cleanup_fd_ int copy_fd = fd < 0 ? -errno : mount_copy(fd, recursive);
    return attach_at(site_fd, copy_fd, name);
}

static int show_devices(int site_fd) {
    static const char *const devices[] = {"dev/null", "dev/zero", "dev/full", "dev/random", "dev/urandom", "dev/tty"};
    for (size_t i = 0; i < COUNT(devices); i++) {
        _cleanup_fd_ int made = openat(site_fd, devices[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
        int error = made < 0 ? fail(errno, "device", "/%s", devices[i]) : show_host(site_fd, devices[i], false);
        if (error < 0)
            return error;
    }
    return 0;
}

/* The kernel lets a user namespace mount these where it can see the host's whole; else, as in many a container, the
 * host's /sys is shown. Without a /proc of its own pid namespace nothing works. */
static int show_kernel(int site_fd) {
    const struct mount_options inert = {.attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    _cleanup_fd_ int proc_fd = mount_new("proc", NULL, &inert);
    int error = attach_at(site_fd, proc_fd, "proc");
    if (error < 0)
        return error;
    _cleanup_fd_ int sys_fd = mount_new("sysfs", NULL, &inert);
    return sys_fd < 0 ? show_host(site_fd, "sys", true) : attach_at(site_fd, sys_fd, "sys");
}

static int show_binds(int site_fd, const struct strings *binds, const int *fds) {
    for (uint32_t i = 0; i < binds->count; i++) {
        char name[24];
        struct stat status;
        snprintf(name, sizeof(name), "binds/%u", i);
        if (fstat(fds[i], &status) < 0)
            return fail(errno, "mount", "%s", binds->items[i]);
        int made = S_ISDIR(status.st_mode) ? mkdirat(site_fd, name, 0755)
                                           : openat(site_fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        if (made < 0)
            return fail(errno, "mount", "%s", binds->items[i]);
        if (made > 0)
            close(made);
        if (is_handed(binds->items[i])) {
            int error = attach_at(site_fd, fds[i], name);
            if (error < 0)
                return error;
            continue;
        }
        _cleanup_fd_ int copy_fd = mount_copy(fds[i], S_ISDIR(status.st_mode));
        int error = copy_fd < 0 ? copy_fd : mount_restrict(copy_fd, MOUNT_ATTR_NODEV, true);
        error = error < 0 ? fail(-error, "mount", "%s", binds->items[i]) : attach_at(site_fd, copy_fd, name);
        if (error < 0)
            return error;
    }
    return 0;
}

/* ---- the container's root file system ---- */

static int set_layer(int context_fd, const char *key, int fd) {
    char path[40];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd); /* the kernel parses commas and colons in a path */
    return fsconfig(context_fd, FSCONFIG_SET_STRING, key, path, 0) < 0 ? -errno : 0;
}

static int mount_overlay(int lower_fd, int upper_fd, int work_fd) {
    _cleanup_fd_ int fd = fsopen("overlay", FSOPEN_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = fsconfig(fd, FSCONFIG_SET_STRING, "source", "firkin", 0) < 0 ? -errno : 0;
    if (error == 0)
        error = set_layer(fd, "lowerdir", lower_fd);
    if (error == 0)
        error = set_layer(fd, "upperdir", upper_fd);
    if (error == 0)
        error = set_layer(fd, "workdir", work_fd);
    if (error == 0 && (fsconfig(fd, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0 ||
                       fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0))
        error = -errno;
    if (error < 0)
        return error;
    int mount_fd = fsmount(fd, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
    return mount_fd < 0 ? -errno : mount_fd;
}

#define FUSE_FDS 20
#define FUSE_MS 20000

/* It lives in the agent's own pid namespace, beside the container's, and dies with that. Its descriptors are all that
 * it needs of the host's files, which PID 1 is about to leave; libfuse mounts at the last of them. */
static _Noreturn void be_fuse(const char *program, int root_fd, const struct sources *sources) {
    static char options[] = "lowerdir=/proc/self/fd/20,upperdir=/proc/self/fd/21,workdir=/proc/self/fd/22";
    static char place[] = "/proc/self/fd/23";
    const int fds[] = {sources->lower_fd, sources->upper_fd, sources->work_fd, root_fd};
    int high[COUNT(fds)];
    for (size_t i = 0; i < COUNT(fds); i++)
        high[i] = fcntl(fds[i], F_DUPFD, FUSE_FDS + (int)COUNT(fds));
    for (size_t i = 0; i < COUNT(fds); i++)
        if (high[i] < 0 || dup2(high[i], FUSE_FDS + (int)i) < 0)
            _exit(127);
    child_clean(FUSE_FDS + COUNT(fds));
    close_range(3, FUSE_FDS - 1, 0);
    setsid();
    execv(program, (char *[]){"fuse-overlayfs", "-f", "-o", options, place, NULL});
    say("%s: %s", program, strerror(errno));
    _exit(127);
}

static bool is_fuse(int site_fd) {
    struct statfs status;
    _cleanup_fd_ int fd = openat(site_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fstatfs(fd, &status) == 0 && status.f_type == FUSE_SUPER_MAGIC;
}

static int show_by_fuse(int site_fd, const char *program, const struct sources *sources) {
    const struct timespec pause = {.tv_nsec = 500000};
    int64_t deadline = now_ms() + FUSE_MS;
    _cleanup_fd_ int root_fd = openat(site_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    pid_t pid = root_fd < 0 ? -1 : fork();
    if (pid == 0)
        be_fuse(program, root_fd, sources);
    if (pid < 0)
        return fail(errno, "fuse", "%s", program);
    while (!is_fuse(site_fd)) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return fail(EIO, "fuse", "%s", program);
        if (now_ms() > deadline)
            return fail(ETIMEDOUT, "fuse", "%s", program);
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int open_whole(int upper_fd) {
    _cleanup_fd_ int copy_fd = mount_copy(upper_fd, false);
    int error = copy_fd < 0 ? copy_fd : mount_restrict(copy_fd, MOUNT_ATTR_NODEV, false);
    return error < 0 ? error : steal_fd(&copy_fd);
}

static int show_root(int site_fd, const struct plan *plan, const struct sources *sources) {
    bool layered = plan->lower[0] != '\0';
    if (layered && plan->fuse[0] != '\0')
        return show_by_fuse(site_fd, plan->fuse, sources);
    _cleanup_fd_ int root_fd = layered ? mount_overlay(sources->lower_fd, sources->upper_fd, sources->work_fd)
                                       : open_whole(sources->upper_fd);
    if (root_fd < 0)
        return fail(-root_fd, layered ? "overlay" : "mount", "%s", plan->dir);
    return attach_at(site_fd, root_fd, "root");
}

/* ---- PID 1 ---- */

static int move_in(int site_fd) {
    /* "pivot_root(".", ".")": the old root ends up on top of the new one, and is taken off. */
    if (fchdir(site_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return fail(errno, "pivot_root", "the namespace's root");
    return 0;
}

static int build(const struct plan *plan, struct sources *sources) {
    _cleanup_fd_ int site_fd = open_site(plan->site, sources->site_fd);
    if (site_fd < 0)
        return site_fd;
    int error = show_kernel(site_fd);
    if (error == 0)
        error = show_devices(site_fd);
    if (error == 0)
        error = show_binds(site_fd, &plan->binds, sources->bind_fds);
    if (error == 0)
        error = show_root(site_fd, plan, sources);
    close_sources(sources, plan->binds.count);
    return error == 0 ? move_in(site_fd) : error;
}

/* A network stack of its own: no privilege protects a low port or a ping in it. A group that is not mapped cannot
 * be named. */
static void open_network(void) {
    network_bring_up("lo");
    write_text(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    if (write_text(AT_FDCWD, "/proc/sys/net/ipv4/ping_group_range", "0 2147483647") < 0)
        write_text(AT_FDCWD, "/proc/sys/net/ipv4/ping_group_range", "0 0");
}

/* The helper says nothing when it is done: a way to everywhere is the last that it makes. */
static bool has_default_route(void) {
    _cleanup_free_ char *routes = NULL;
    char device[32];
    unsigned long destination;
    if (read_text(AT_FDCWD, "/proc/net/route", PLAN_BYTES, &routes) < 0)
        return false;
    for (char *line = strchr(routes, '\n'); line != NULL && line[1] != '\0'; line = strchr(line + 1, '\n'))
        if (sscanf(line + 1, "%31s %lx", device, &destination) == 2 && destination == 0)
            return true;
    return false;
}

static int await_network(const struct plan *plan) {
    const struct timespec pause = {.tv_nsec = 500000};
    int64_t deadline = now_ms() + NETWORK_MS;
    while (plan->helper.count > 0 && !has_default_route()) {
        if (now_ms() > deadline)
            return fail(ETIMEDOUT, "network", "%s", plan->helper.items[0]);
        nanosleep(&pause, NULL);
    }
    return 0;
}

static bool has_ended(int pidfd) {
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) != 0;
}

/* Root of the namespace, from the moment when the host has said who that is. */
static int take_users(void) {
    if (setgroups(0, NULL) < 0 && errno != EPERM) /* EPERM: where one user is mapped, the kernel forbids it */
        return fail(errno, "setgroups", "none");
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return fail(errno, "setuid", "the namespace's root");
    return 0;
}

/* What PID 1 lets the launcher know, by a pipe. */
enum news { NEWS_MAPPED = 'm', NEWS_READY = 'r' };

static void tell(int news_fd, enum news news) {
    char byte = (char)news;
    ssize_t ignored = write(news_fd, &byte, 1);
    (void)ignored; /* without its launcher it is about to end */
}

static void become_first(const struct plan *plan, int tie_fd, int launcher_fd, int news_fd) {
    char go[1 + CGROUPS_GIVEN];
    int given[CGROUPS_GIVEN];
    ssize_t length = child_hear(tie_fd, go, sizeof(go), given, COUNT(given));
    if (length <= 0)
        _exit(0); /* nobody is there to map us */
    struct sources sources = {-1, -1, -1, -1, NULL};
    int error = cgroups_take(go + 1, given, (size_t)length - 1);
    error = error < 0 ? fail(-error, "cgroup", "the host's") : open_sources(plan, &sources);
    if (error == 0)
        error = take_users();
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* after the change of users, which clears it */
    if (has_ended(launcher_fd))
        _exit(0);
    close(launcher_fd);
    umask(0);
    tell(news_fd, NEWS_MAPPED);
    if (error == 0)
        error = build(plan, &sources);
    if (error == 0) {
        open_network();
        error = await_network(plan);
    }
    if (error < 0)
        child_fail(tie_fd);
    root_set_stage(STAGE);
    tell(news_fd, NEWS_READY);
    child_report(tie_fd, REPORT_READY, NULL, 0);
    close(tie_fd);
    close(news_fd);
}

/* ---- the launcher ---- */

/* What the launcher has of the namespace that it made. */
struct launched {
    pid_t first, helper;
    int user_fd, net_fd; /* its namespaces, for the helper */
    int tie_fd, serving_fd, news_fd;
};

static int open_namespace(pid_t pid, const char *name) {
    char path[48];
    snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
    _cleanup_fd_ int opened = open(path, O_RDONLY | O_CLOEXEC);
    int fd = opened < 0 ? -1 : fcntl(opened, F_DUPFD_CLOEXEC, HELPER_NET + 1);
    return fd < 0 ? fail(errno, "network", "%s", path) : fd;
}

static bool hears(const struct launched *launched, enum news news) {
    char byte;
    return read(launched->news_fd, &byte, 1) == 1 && byte == (char)news;
}

static _Noreturn void be_helper(const struct launched *launched, pid_t launcher, char **arguments) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launcher || dup2(launched->user_fd, HELPER_USER) < 0 || dup2(launched->net_fd, HELPER_NET) < 0)
        _exit(127);
    child_clean(HELPER_NET + 1);
    close_range(3, HELPER_USER - 1, 0);
    execv(arguments[0], arguments);
    say("%s: %s", arguments[0], strerror(errno));
    _exit(127);
}

static void start_helper(struct launched *launched, const struct strings *helper) {
    pid_t launcher = getpid();
    if (helper->count == 0 || !hears(launched, NEWS_MAPPED))
        return;
    launched->helper = fork();
    if (launched->helper == 0)
        be_helper(launched, launcher, helper->items);
}

/* Without its helper, PID 1 would wait for a network in vain; once it has begun, it goes on as it can. */
static void lose_helper(struct launched *launched, const char *program) {
    launched->helper = -1;
    if (hears(launched, NEWS_READY))
        return;
    fail(EIO, "network", "%s", program);
    child_report(launched->tie_fd, REPORT_FAILURE, NULL, 0);
    kill(launched->first, SIGKILL);
}

/* It holds what says that the namespace is alive, and may be found by that, as PID 1 hides its descriptors; but
 * nobody is to wait for an answer from it. */
static _Noreturn void await(struct launched *launched, const struct strings *helper) {
    int status;
    pid_t pid;
    close(launched->serving_fd);
    start_helper(launched, helper);
    if (launched->helper <= 0)
        close_fd(&launched->tie_fd);
    fcntl(launched->news_fd, F_SETFL, O_NONBLOCK);
    prctl(PR_SET_NAME, "firkin-launcher", 0, 0, 0);
    while ((pid = waitpid(-1, &status, 0)) != launched->first)
        if (pid > 0 && pid == launched->helper)
            lose_helper(launched, helper->items[0]);
    if (launched->helper > 0) {
        kill(launched->helper, SIGKILL);
        waitpid(launched->helper, NULL, 0);
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* What nobody has arranged between our fork and our exec. */
static void stand_alone(uint32_t owner) {
    umask(077);
    if (chdir("/") < 0)
        _exit(127);
    if (owner == 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if ((uint32_t)getppid() != owner)
        _exit(127); /* it is gone already, and will not send it */
}

void launch(int plan_fd, int tie_fd, int serving_fd) {
    struct clone_args arguments = {.flags = NAMESPACES, .exit_signal = SIGCHLD};
    struct launched launched = {.helper = -1, .user_fd = -1, .net_fd = -1, .tie_fd = tie_fd, .serving_fd = serving_fd};
    struct plan plan = {0};
    int news[2] = {-1, -1};
    arena_reset();
    if (read_plan(plan_fd, &plan) < 0)
        child_fail(tie_fd);
    close(plan_fd);
    stand_alone(plan.owner);
    int launcher_fd = pidfd_open(getpid(), 0);
    if (launcher_fd >= 0 && pipe2(news, O_CLOEXEC) == 0)
        launched.first = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (launcher_fd >= 0 && news[0] >= 0 && launched.first == 0) {
        close(news[0]);
        become_first(&plan, tie_fd, launcher_fd, news[1]);
        return;
    }
    if (launched.first <= 0) {
        fail(errno, "namespaces", "user, mount, pid, network, uts and ipc");
        child_fail(tie_fd);
    }
    close(news[1]);
    launched.news_fd = news[0];
    if (plan.helper.count > 0) {
        launched.user_fd = open_namespace(launched.first, "user");
        launched.net_fd = launched.user_fd < 0 ? -1 : open_namespace(launched.first, "net");
        if (launched.net_fd < 0) {
            kill(launched.first, SIGKILL);
            child_fail(tie_fd);
        }
    }
    uint32_t number = (uint32_t)launched.first;
    if (send(tie_fd, &number, sizeof(number), MSG_NOSIGNAL) != sizeof(number))
        _exit(0);
    await(&launched, &plan.helper);
}
