#include "cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "failure.h"
#include "mounts.h"
#include "oom.h"

#define NAME_BYTES 16
#define MOST_DEPTH 32

static int root_fd = -1;
static uint32_t made;

static struct {
    int into_fd;
    int join_fds[CGROUPS_GIVEN];
    size_t joins;
} given = {.into_fd = -1};

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

int cgroups_take(const char *kinds, int *fds, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (fds[i] < 0 || given.joins == CGROUPS_GIVEN)
            return -EPROTO;
        if (kinds[i] == 'i' && given.into_fd < 0)
            given.into_fd = steal_fd(&fds[i]);
        else if (kinds[i] == 'j')
            given.join_fds[given.joins++] = steal_fd(&fds[i]);
        else if (kinds[i] == 'o')
            oom_count_by(steal_fd(&fds[i]));
        else
            return -EPROTO;
    }
    return 0;
}

int cgroups_join(void) {
    for (size_t i = 0; i < given.joins; i++)
        if (write(given.join_fds[i], "0", 1) != 1)
            return fail(errno, "cgroup", "joining it");
    return 0;
}

static void name_of(const struct cgroup *cgroup, char name[NAME_BYTES]) {
    snprintf(name, NAME_BYTES, "c%u", cgroup->number);
}

struct cgroup cgroup_make(void) {
    char name[NAME_BYTES];
    struct cgroup cgroup = {.fd = -1, .number = ++made};
    if (given.into_fd >= 0)
        cgroup.fd = fcntl(given.into_fd, F_DUPFD_CLOEXEC, 3);
    name_of(&cgroup, name);
    if (root_fd >= 0 && mkdirat(root_fd, name, 0755) == 0)
        cgroup.fd = openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd >= 0 && cgroup.fd < 0)
        say("cannot make cgroup %s: %s", name, strerror(errno));
    return cgroup;
}

static void close_directory(DIR **directory) {
    if (*directory != NULL)
        closedir(*directory);
}

/* What a container with the right to do so made inside its own. */
static void remove_inside(int fd, int depth) {
    int listed = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(close_directory) DIR *directory = listed < 0 ? NULL : fdopendir(listed);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        _cleanup_fd_ int below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0 && depth > 0)
            remove_inside(below, depth - 1);
        unlinkat(fd, entry->d_name, AT_REMOVEDIR);
    }
}

void cgroup_remove(struct cgroup *cgroup) {
    char name[NAME_BYTES];
    if (root_fd < 0) {
        close_fd(&cgroup->fd); /* the host's */
        return;
    }
    if (cgroup->fd < 0)
        return;
    name_of(cgroup, name);
    bool gone = unlinkat(root_fd, name, AT_REMOVEDIR) == 0;
    if (!gone)
        remove_inside(cgroup->fd, MOST_DEPTH);
    close_fd(&cgroup->fd);
    if (!gone && unlinkat(root_fd, name, AT_REMOVEDIR) < 0)
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

bool cgroup_has(const struct cgroup *cgroup, pid_t pid) {
    char path[48], name[NAME_BYTES];
    _cleanup_free_ char *text = NULL;
    snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
    if (cgroup->fd < 0 || read_text(AT_FDCWD, path, CGROUP_FILE_BYTES, &text) < 0)
        return false;
    /* A line for each hierarchy; a container may have mounted old ones. */
    const char *line = strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");
    if (line == NULL)
        return false;
    line += *line == '\n' ? 5 : 4;
    name_of(cgroup, name);
    size_t length = strlen(name);
    return strncmp(line, name, length) == 0 && strchr("/\n ", line[length]) != NULL;
}

uint64_t cgroup_value(const char *text, const char *key) {
    size_t length = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, key, length) == 0 && line[length] == ' ')
            return strtoull(line + length + 1, NULL, 10);
        line = strchr(line, '\n');
        line += line != NULL;
    }
    return 0;
}

bool cgroup_populated(const struct cgroup *cgroup) {
    _cleanup_free_ char *text = NULL;
    return cgroup->fd >= 0 && read_text(cgroup->fd, "cgroup.events", CGROUP_FILE_BYTES, &text) >= 0 &&
           cgroup_value(text, "populated") != 0;
}

int cgroup_kill(const struct cgroup *cgroup) {
    return cgroup->fd < 0 ? -ENOENT : write_text(cgroup->fd, "cgroup.kill", "1");
}

uint64_t cgroup_read(const struct cgroup *cgroup, const char *file, uint64_t none) {
    _cleanup_free_ char *text = NULL;
    char *end;
    if (cgroup->fd < 0 || read_text(cgroup->fd, file, CGROUP_FILE_BYTES, &text) < 0)
        return none;
    uint64_t value = strtoull(text, &end, 10);
    return end == text ? none : value;
}
