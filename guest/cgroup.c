#include "cgroup.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "mounts.h"

#define NAME_BYTES 16

static int root_fd = -1;
static uint32_t made;

void cgroups_begin(void) {
    static const char *const controllers[] = {"+cpu", "+memory", "+io", "+pids"};
    const struct mount_options inert = {.attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    root_fd = mount_new("cgroup2", NULL, &inert);
    if (root_fd < 0)
        say("no cgroups: %s", strerror(-root_fd));
    /* One by one: a kernel that lacks one still has the others. */
    for (size_t i = 0; root_fd >= 0 && i < COUNT(controllers); i++) {
        int error = write_text(root_fd, "cgroup.subtree_control", controllers[i]);
        if (error < 0)
            say("no cgroup controller %s: %s", controllers[i] + 1, strerror(-error));
    }
}

static void name_of(const struct cgroup *cgroup, char name[NAME_BYTES]) {
    snprintf(name, NAME_BYTES, "c%u", cgroup->number);
}

struct cgroup cgroup_make(void) {
    char name[NAME_BYTES];
    struct cgroup cgroup = {.fd = -1, .number = ++made};
    name_of(&cgroup, name);
    if (root_fd >= 0 && mkdirat(root_fd, name, 0755) == 0)
        cgroup.fd = openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd >= 0 && cgroup.fd < 0)
        say("cannot make cgroup %s: %s", name, strerror(errno));
    return cgroup;
}

void cgroup_remove(struct cgroup *cgroup) {
    char name[NAME_BYTES];
    if (cgroup->fd < 0)
        return;
    close_fd(&cgroup->fd);
    name_of(cgroup, name);
    if (unlinkat(root_fd, name, AT_REMOVEDIR) < 0)
        say("cannot remove cgroup %s: %s", name, strerror(errno));
}

/* Being born there costs nothing; moving there waits until every processor has noticed (RCU). */
pid_t cgroup_fork(const struct cgroup *cgroup) {
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    if (cgroup->fd < 0)
        return fork();
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.cgroup = (uint64_t)cgroup->fd;
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
}

uint64_t cgroup_read(const struct cgroup *cgroup, const char *file, uint64_t none) {
    _cleanup_free_ char *text = NULL;
    char *end;
    if (cgroup->fd < 0 || read_text(cgroup->fd, file, CGROUP_FILE_BYTES, &text) < 0)
        return none;
    uint64_t value = strtoull(text, &end, 10);
    return end == text ? none : value;
}
