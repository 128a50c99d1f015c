#include "container.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>

#include "child.h"
#include "connection.h"
#include "freeze.h"
#include "init.h"
#include "layer.h"
#include "listener.h"
#include "members.h"
#include "pids.h"
#include "proc.h"

#define BUILD_MS 60000
#define END_MS 10000

static struct container containers[MAX_CONTAINERS];

/* ---- the table ---- */

struct container *container_find(const char *id) {
    for (size_t i = 0; i < MAX_CONTAINERS; i++)
        if (containers[i].used && strcmp(containers[i].id, id) == 0)
            return &containers[i];
    return NULL;
}

static struct container *free_slot(void) {
    for (size_t i = 0; i < MAX_CONTAINERS; i++)
        if (!containers[i].used)
            return &containers[i];
    return NULL;
}

struct container *container_find_running(const char *step, const char *id) {
    struct container *container = container_find(id);
    if (container == NULL)
        fail(ENOENT, step, "container %s", id);
    else if (container->ended)
        fail(ESRCH, step, "container %s has ended", id);
    return container == NULL || container->ended ? NULL : container;
}

void containers_each(void (*visit)(struct container *container)) {
    for (size_t i = 0; i < MAX_CONTAINERS; i++)
        if (containers[i].used && !containers[i].ended)
            visit(&containers[i]);
}

bool container_is_id(const char *id) {
    size_t length = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
    return length > 0 && length <= CONTAINER_ID_BYTES && id[length] == '\0';
}

void containers_write(struct mpw *w) {
    uint32_t count = 0;
    size_t opened = mpw_open_array(w);
    for (size_t i = 0; i < MAX_CONTAINERS; i++) {
        if (!containers[i].used)
            continue;
        mpw_string(w, containers[i].id);
        count++;
    }
    mpw_patch_array(w, opened, count);
}

/* Its root is unmounted once we don't hold it either. */
static void let_go(struct container *container) {
    freeze_end(container);
    listeners_end_of(container);
    connections_end_of(container);
    for (size_t i = 0; i < ROOT_KEPT; i++)
        close_fd(&container->kept[i]);
    close_fd(&container->pidfd);
    close_fd(&container->channel);
    cgroup_remove(&container->cgroup);
}

static bool is_mounted(const struct container *container) {
    return container->used && container->kept[ROOT_FD] >= 0;
}

/* What came through a socket of its file system is read to the end first, as the output of its processes is. */
static bool is_over(const struct container *container) {
    return container->ended && !connections_hold(container) &&
           (container->members == 0 || !cgroup_populated(&container->cgroup));
}

bool containers_ended(void) {
    for (size_t i = 0; i < MAX_CONTAINERS; i++)
        if (is_mounted(&containers[i]) && is_over(&containers[i]))
            return true;
    return false;
}

void containers_unmount(bool all) {
    for (size_t i = 0; i < MAX_CONTAINERS; i++)
        if (is_mounted(&containers[i]) && (all || is_over(&containers[i]))) {
            procs_reap(); /* how they ended, its cgroup tells */
            let_go(&containers[i]);
        }
}

void container_reaped(pid_t pid) {
    init_reaped(pid);
    for (size_t i = 0; i < MAX_CONTAINERS; i++) {
        struct container *container = &containers[i];
        if (!container->used || container->ended || container->pid != pid)
            continue;
        container->ended = true;
        if (container->members != 0)
            members_signal(container, SIGKILL);
        freeze_end(container);
        listeners_end_of(container);
        procs_end_trees(container->id);
    }
}

/* ---- the ops ---- */

static int start(struct container *container, const struct container *home, struct span request) {
    struct init init;
    int error = home == NULL ? init_take(&init) : init_take_beside(&init, home->pidfd);
    if (error < 0)
        return error;
    container->pid = init.pid;
    container->pidfd = init.pidfd;
    container->channel = init.channel;
    container->cgroup = init.cgroup;
    error = child_send(container->channel, request.bytes, request.length, NULL, 0);
    if (error < 0)
        return fail(-error, "container", "%s", container->id);
    int report = child_wait(container->channel, now_ms() + BUILD_MS, container->kept, ROOT_KEPT);
    if (report == REPORT_READY && home != NULL)
        container->members = members_of(container->pid);
    return report == REPORT_READY ? 0 : report < 0 ? report : fail(EIO, "container", "%s", container->id);
}

/* Kills everything in the container and waits until its namespaces, and so its mounts, are gone. Its other
 * processes are our children too: PID 1 only ends once they are reaped. */
static int end(struct container *container) {
    const struct timespec pause = {.tv_nsec = 500000};
    int64_t deadline = now_ms() + END_MS;
    freeze_end(container); /* who waits to write cannot be killed */
    if (!container->ended && container->pidfd >= 0)
        pidfd_send_signal(container->pidfd, SIGKILL, NULL, 0);
    for (;;) {
        bool empty = !cgroup_populated(&container->cgroup);
        procs_reap();
        if (container->ended && !procs_end_trees(container->id) && empty)
            break;
        if (now_ms() > deadline)
            return fail(EBUSY, "remove", "%s", container->id);
        nanosleep(&pause, NULL);
    }
    let_go(container);
    container->used = false;
    return 0;
}

int op_container(struct span request, struct mpw *ok) {
    (void)ok;
    struct container_request wanted;
    int error = root_decode(request, &wanted);
    if (error < 0)
        return error;
    if (!container_is_id(wanted.container))
        return fail(EINVAL, "container", "%.64s", wanted.container);
    if (container_find(wanted.container) != NULL)
        return fail(EEXIST, "container", "%s", wanted.container);
    const struct container *home = wanted.pids[0] == '\0' ? NULL : container_find_running("pids", wanted.pids);
    if (wanted.pids[0] != '\0' && home == NULL)
        return -failure_last()->error;
    struct container *container = free_slot();
    if (container == NULL)
        return fail(ENOSPC, "container", "more than %u", MAX_CONTAINERS);
    *container = (struct container){
        .used = true, .pid = -1, .pidfd = -1, .channel = -1, .kept = {-1, -1, -1, -1},
        .cgroup = NO_CGROUP,
        .disk = root_is_disk(&wanted.root),
    };
    strcpy(container->id, wanted.container);
    layer_load(&wanted.root);
    error = start(container, home, request);
    if (error == 0)
        return 0;
    struct failure why = *failure_last();
    if (container->pid > 0)
        end(container);
    container->used = false;
    let_go(container);
    return fail_again(&why);
}

struct remove_request {
    char *container;
};

static const struct field remove_fields[] = {REQUEST_FIELDS, NEED(remove_request, container, FIELD_STRING)};

int op_remove(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct remove_request wanted;
    int error = fields_decode(&mp, remove_fields, COUNT(remove_fields), &wanted);
    if (error < 0)
        return error;
    struct container *container = container_find(wanted.container);
    return container == NULL ? fail(ENOENT, "remove", "%s", wanted.container) : end(container);
}

/* ---- children in a container ---- */

pid_t container_fork(const struct container *container, bool member) {
    int error = pids_enter(container->pidfd);
    if (error < 0) {
        errno = -error;
        return -1;
    }
    pid_t pid = member ? cgroup_fork(&container->cgroup) : fork();
    if (pid != 0)
        pids_leave();
    return pid;
}

int container_join(const struct container *container) {
    return setns(container->pidfd, INIT_NAMESPACES) < 0 ? -errno : 0;
}

/* A pidfd of ours would lead to where we are by then, so the way back is by the namespaces themselves. */
struct way_back {
    int root_fd, mount_fd, uts_fd;
};

static int go_back(const struct way_back *back) {
    /* setns(2) puts us at the namespace's root, which need not be where we were. */
    bool there = setns(back->mount_fd, CLONE_NEWNS) == 0 && setns(back->uts_fd, CLONE_NEWUTS) == 0 &&
                 fchdir(back->root_fd) == 0 && chroot(".") == 0;
    return there ? 0 : -errno;
}

int container_visit(const struct container *container, int (*work)(void *context), void *context) {
    _cleanup_fd_ int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    _cleanup_fd_ int mount_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    _cleanup_fd_ int uts_fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
    /* A machine's init shares its root directory with the kernel's own threads, and setns() wants it unshared. */
    if (root_fd < 0 || mount_fd < 0 || uts_fd < 0 || unshare(CLONE_FS) < 0 || setns(container->pidfd, CLONE_NEWNS | CLONE_NEWUTS) < 0)
        return fail(errno, "join", "%s", container->id);
    int error = work(context);
    int lost = go_back(&(struct way_back){root_fd, mount_fd, uts_fd});
    if (lost < 0) {
        say("cannot return from container %s: %s", container->id, strerror(-lost));
        _exit(1); /* whatever came next would be done in the wrong place */
    }
    return error;
}
