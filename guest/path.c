#include "path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define PATH_BYTES 4096u
#define MOST_LINKS 16
#define MOST_PARENTS 128
#define MOST_TRIES 32

enum made { DIRECTORY, REGULAR };

static int open_resolved(int root_fd, const char *path, int flags, uint64_t resolve) {
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .resolve = resolve | RESOLVE_NO_MAGICLINKS,
    };
    long fd;
    int tries = MOST_TRIES;
    /* EAGAIN: something was renamed or mounted meanwhile, so that it cannot be sure of a "..". */
    do
        fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
    while (fd < 0 && errno == EAGAIN && --tries > 0);
    return fd < 0 ? -errno : (int)fd;
}

int path_open(int root_fd, const char *path, int flags) {
    return open_resolved(root_fd, path, flags, RESOLVE_IN_ROOT);
}

int path_open_beneath(int directory_fd, const char *path, int flags) {
    return open_resolved(directory_fd, path, flags, RESOLVE_BENEATH);
}

int path_open_unmounted(int root_fd, const char *path, int flags) {
    return open_resolved(root_fd, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_XDEV);
}

int path_split(const char *path, char *parent, char *name, size_t room) {
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    size_t length = end - start;
    if (length == 0 || length >= room || start >= room)
        return -EINVAL;
    memcpy(name, path + start, length);
    name[length] = '\0';
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EINVAL;
    memcpy(parent, start == 0 ? "/" : path, start == 0 ? 1 : start);
    parent[start == 0 ? 1 : start] = '\0';
    return 0;
}

int path_follow(const char *path, const char *target, char *out, size_t room) {
    const char *slash = strrchr(path, '/');
    int parent_bytes = target[0] == '/' || slash == NULL ? 0 : (int)(slash - path);
    int length = snprintf(out, room, "%.*s%s%s", parent_bytes, path, target[0] == '/' ? "" : "/", target);
    return length >= 0 && (size_t)length < room ? 0 : -ENAMETOOLONG;
}

static int make(int root_fd, const char *path, enum made what, int links, int parents);

/* Something lies at `path` that leads nowhere: a link to what is missing. */
static int make_link_target(int root_fd, int parent_fd, const char *path, const char *name, enum made what,
                            int links, int parents) {
    char target[PATH_BYTES], there[PATH_BYTES], trimmed[PATH_BYTES];
    ssize_t length = readlinkat(parent_fd, name, target, sizeof(target) - 1);
    if (length < 0)
        return errno == EINVAL ? -ENOTDIR : -errno;
    target[length] = '\0';
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    if (end >= sizeof(trimmed))
        return -ENAMETOOLONG;
    memcpy(trimmed, path, end);
    trimmed[end] = '\0';
    int error = path_follow(trimmed, target, there, sizeof(there));
    return error < 0 ? error : make(root_fd, there, what, links - 1, parents);
}

static int create(int parent_fd, const char *name, enum made what) {
    if (what == DIRECTORY)
        return mkdirat(parent_fd, name, 0755) < 0 ? -errno : 0;
    int fd = openat(parent_fd, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

static int make(int root_fd, const char *path, enum made what, int links, int parents) {
    int flags = O_PATH | (what == DIRECTORY ? O_DIRECTORY : 0);
    int fd = path_open(root_fd, path, flags);
    if (fd != -ENOENT)
        return fd;
    char parent[PATH_BYTES], name[PATH_BYTES];
    int error = path_split(path, parent, name, sizeof(name));
    if (error < 0 || links == 0 || parents == 0)
        return error < 0 ? error : -ELOOP;
    _cleanup_fd_ int parent_fd = make(root_fd, parent, DIRECTORY, links, parents - 1);
    if (parent_fd < 0)
        return parent_fd;
    error = create(parent_fd, name, what);
    if (error == -EEXIST)
        return make_link_target(root_fd, parent_fd, path, name, what, links, parents);
    return error < 0 ? error : path_open(root_fd, path, flags);
}

int path_make_directory(int root_fd, const char *path) {
    return make(root_fd, path, DIRECTORY, MOST_LINKS, MOST_PARENTS);
}

int path_make_file(int root_fd, const char *path) {
    return make(root_fd, path, REGULAR, MOST_LINKS, MOST_PARENTS);
}
