#include "unpack.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "fresh.h"
#include "path.h"

#define BUFFER_BYTES (1u << 18)
#define DIRECT_BYTES (1u << 16)
#define BYTES_AT_ONCE (1u << 30)
#define MOST_DEPTH 1024
#define TIMES_BYTES (64u << 20)

static const char OUTSIDE[] = "stay inside the destination";
static const char WHITEOUT[] = ".wh.", OPAQUE[] = ".wh..wh..opq", RESERVED[] = ".wh..wh.";

struct parent {
    char path[TAR_PATH_BYTES];
    int fd;
    uint64_t inode;
};

struct unpacking {
    const struct unpack_wish *wish;
    struct tree_counts *counts;
    struct tar_reader reader;
    struct parent parent; /* of the last entry, since the next one is mostly beside it */
    int input_fd;
    size_t from, filled;  /* of `ahead` */
    uint8_t *times;       /* of directories, set at the end: see set_times */
    size_t times_bytes, times_room;
};

static struct tar_entry entry;
static uint8_t ahead[BUFFER_BYTES], content[BUFFER_BYTES], records[TAR_RECORDS_BYTES], globals[TAR_GLOBALS_BYTES];

static int failed(int error, const char *step) {
    return fail(error, step, "%s", entry.path);
}

/* Headers come through `ahead`, long pieces of content straight from the pipe. */
static ssize_t read_input(void *context, void *bytes, size_t length) {
    struct unpacking *u = context;
    if (u->from < u->filled) {
        size_t part = MIN(length, u->filled - u->from);
        memcpy(bytes, ahead + u->from, part);
        u->from += part;
        return (ssize_t)part;
    }
    bool direct = length >= DIRECT_BYTES;
    ssize_t got;
    do
        got = read(u->input_fd, direct ? bytes : ahead, direct ? length : sizeof(ahead));
    while (got < 0 && errno == EINTR);
    if (got <= 0 || direct)
        return got < 0 ? -errno : got;
    u->from = 0;
    u->filled = (size_t)got;
    return read_input(context, bytes, length);
}

/* ---- where an entry goes ---- */

/* Works out `.` and `..` of `path` in place, without a slash at either end; "" is the top itself. A path that leads
 * above the top is refused, where that is not what the top of a root is. */
static int clean(char *path, bool whole) {
    char *out = path;
    for (const char *at = path; *at != '\0';) {
        size_t length = strcspn(at, "/");
        if (length == 2 && at[0] == '.' && at[1] == '.') {
            if (out == path && !whole)
                return -EXDEV;
            while (out > path && *--out != '/')
                ;
        } else if (length > 0 && !(length == 1 && at[0] == '.')) {
            if (out > path)
                *out++ = '/';
            memmove(out, at, length);
            out += length;
        }
        at += length + (at[length] == '/');
    }
    *out = '\0';
    return 0;
}

static int open_inside(const struct unpacking *u, const char *path, int flags) {
    const char *from = path[0] == '\0' ? "." : path;
    return u->wish->whole ? path_open(u->wish->directory_fd, from, flags)
                          : path_open_beneath(u->wish->directory_fd, from, flags);
}

/* Opens the directory at `path`, making it and its parents where they are missing. */
static int open_directory(const struct unpacking *u, char *path) {
    int fd = open_inside(u, path, O_PATH | O_DIRECTORY);
    char *slash = strrchr(path, '/');
    if (fd != -ENOENT || path[0] == '\0')
        return fd;
    if (slash != NULL)
        *slash = '\0';
    _cleanup_fd_ int parent_fd = slash == NULL ? open_inside(u, "", O_PATH | O_DIRECTORY) : open_directory(u, path);
    if (slash != NULL)
        *slash = '/';
    if (parent_fd < 0)
        return parent_fd;
    if (mkdirat(parent_fd, slash == NULL ? path : slash + 1, 0755) < 0)
        /* A link to what is missing. */
        return errno != EEXIST ? -errno : u->wish->whole ? path_make_directory(u->wish->directory_fd, path) : -ENOENT;
    return open_inside(u, path, O_PATH | O_DIRECTORY);
}

/* Splits the clean `path`: the parent is opened and kept, the last name returned. NULL with the failure recorded. */
static const char *enter_parent(struct unpacking *u, char *path) {
    char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    struct parent *parent = &u->parent;
    if (parent->fd >= 0 && strncmp(parent->path, path, length) == 0 && parent->path[length] == '\0')
        return name;
    close_fd(&parent->fd);
    memcpy(parent->path, path, length);
    parent->path[length] = '\0';
    parent->fd = open_directory(u, parent->path);
    struct stat status;
    if (parent->fd < 0 || fstat(parent->fd, &status) < 0) {
        failed(parent->fd < 0 ? -parent->fd : errno, parent->fd == -EXDEV ? OUTSIDE : "open the directory of");
        return NULL;
    }
    parent->inode = status.st_ino;
    return name;
}

/* ---- taking away ---- */

static bool is_spared(uint64_t directory, const char *name, bool spare) {
    return spare && fresh_has(directory, name);
}

static int prune(int directory_fd, bool spare, int depth);

static int prune_child(int directory_fd, uint64_t inode, const char *name, bool spare, int depth) {
    struct stat status;
    if (fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    bool directory = S_ISDIR(status.st_mode);
    if (directory) {
        /* What somebody mounted there is not ours to empty. */
        int child_fd = path_open_unmounted(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        int error = child_fd < 0 ? child_fd : prune(child_fd, spare, depth - 1);
        if (error < 0)
            return error == -EXDEV ? -EBUSY : error;
    }
    if (is_spared(inode, name, spare) || unlinkat(directory_fd, name, directory ? AT_REMOVEDIR : 0) == 0)
        return 0;
    return errno == ENOENT || (spare && errno == ENOTEMPTY) ? 0 : -errno;
}

static void close_directory(DIR **directory) {
    if (*directory != NULL)
        closedir(*directory);
}

/* Removes what lies in the directory, which it closes; with `spare` not what this layer has brought. */
static int prune(int directory_fd, bool spare, int depth) {
    _cleanup_(close_directory) DIR *directory = fdopendir(directory_fd);
    struct stat status;
    if (directory == NULL || depth == 0 || fstat(directory_fd, &status) < 0) {
        int error = depth == 0 ? ELOOP : errno;
        if (directory == NULL)
            close(directory_fd);
        return -error;
    }
    int error = 0;
    for (struct dirent *each; error == 0 && (errno = 0, each = readdir(directory)) != NULL;)
        if (strcmp(each->d_name, ".") != 0 && strcmp(each->d_name, "..") != 0)
            error = prune_child(directory_fd, status.st_ino, each->d_name, spare, depth);
    return error;
}

static int remove_all(struct unpacking *u, const char *name, bool spare) {
    int error = prune_child(u->parent.fd, u->parent.inode, name, spare, MOST_DEPTH);
    return error < 0 ? failed(-error, "remove") : 0;
}

/* Something lies where the entry goes. Returns 1 where it is a directory to be kept, 0 where there is room now. */
static int make_room(struct unpacking *u, const char *name) {
    struct stat status;
    if (fstatat(u->parent.fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : failed(errno, "stat");
    bool directory = S_ISDIR(status.st_mode), wanted = entry.kind == TAR_DIRECTORY;
    if (directory && wanted)
        return 1;
    if (directory != wanted && !u->wish->replace)
        return failed(directory ? EISDIR : ENOTDIR, directory ? "replace the directory" : "make a directory of");
    if (!directory)
        return unlinkat(u->parent.fd, name, 0) < 0 && errno != ENOENT ? failed(errno, "replace") : 0;
    return remove_all(u, name, false);
}

static int white_out(struct unpacking *u, const char *name) {
    if (strcmp(name, OPAQUE) == 0) {
        int directory_fd = openat(u->parent.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int error = directory_fd < 0 ? -errno : prune(directory_fd, true, MOST_DEPTH);
        return error < 0 ? failed(-error, "remove what lies under") : 0;
    }
    /* Else it is aufs' own bookkeeping, which some old layers carry. */
    const char *hidden = name + strlen(WHITEOUT);
    return strncmp(name, RESERVED, strlen(RESERVED)) == 0 || *hidden == '\0' ? 0 : remove_all(u, hidden, true);
}

/* ---- metadata ---- */

static int set_xattrs(struct unpacking *u, const char *self) {
    for (uint32_t i = 0; i < entry.xattr_count; i++) {
        const struct tar_xattr *xattr = &entry.xattrs[i];
        if (setxattr(self, xattr->name, xattr->value, xattr->length, 0) == 0)
            continue;
        if (errno != EOPNOTSUPP)
            return fail(errno, "set an attribute", "%s: %s", entry.path, xattr->name);
        u->counts->left_out++;
    }
    return 0;
}

/* Owner before mode, since it clears the set-id bits; both before attributes, since it clears capabilities. `fd` may
 * be one of O_PATH. */
static int set_metadata(struct unpacking *u, int fd, bool with_time) {
    const struct unpack_wish *wish = u->wish;
    char self[32];
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {entry.mtime.seconds, entry.mtime.nanoseconds}};
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    if (fchownat(fd, "", wish->own ? wish->uid : entry.uid, wish->own ? wish->gid : entry.gid, AT_EMPTY_PATH) < 0)
        return failed(errno, "set the owner of");
    if (entry.kind != TAR_SYMLINK && chmod(self, entry.mode) < 0)
        return failed(errno, "set the mode of");
    int error = set_xattrs(u, self);
    if (error == 0 && with_time && utimensat(fd, "", times, AT_EMPTY_PATH) < 0)
        error = failed(errno, "set the time of");
    return error;
}

/* A directory's time would change with the next entry in it, so it waits for the end: as a length, a time and a
 * path with its NUL. */
static int keep_time(struct unpacking *u) {
    uint32_t path_bytes = (uint32_t)strlen(entry.path) + 1;
    size_t needed = sizeof(path_bytes) + sizeof(entry.mtime) + path_bytes;
    if (u->times_bytes + needed > u->times_room) {
        size_t room = u->times_room == 0 ? 65536 : 2 * u->times_room;
        uint8_t *larger = room > TIMES_BYTES ? NULL : realloc(u->times, room);
        if (larger == NULL)
            return failed(ENOMEM, "remember the time of");
        u->times = larger;
        u->times_room = room;
    }
    uint8_t *at = u->times + u->times_bytes;
    memcpy(at, &path_bytes, sizeof(path_bytes));
    memcpy(at + sizeof(path_bytes), &entry.mtime, sizeof(entry.mtime));
    memcpy(at + sizeof(path_bytes) + sizeof(entry.mtime), entry.path, path_bytes);
    u->times_bytes += needed;
    return 0;
}

static int set_times(struct unpacking *u) {
    for (size_t at = 0; at < u->times_bytes;) {
        uint32_t path_bytes;
        memcpy(&path_bytes, u->times + at, sizeof(path_bytes));
        memcpy(&entry.mtime, u->times + at + sizeof(path_bytes), sizeof(entry.mtime));
        strcpy(entry.path, (char *)u->times + at + sizeof(path_bytes) + sizeof(entry.mtime));
        at += sizeof(path_bytes) + sizeof(entry.mtime) + path_bytes;
        _cleanup_fd_ int fd = open_inside(u, entry.path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {entry.mtime.seconds, entry.mtime.nanoseconds}};
        /* One that a later entry took away has no time any more. */
        if (fd >= 0 && utimensat(fd, "", times, AT_EMPTY_PATH) < 0)
            return failed(errno, "set the time of");
    }
    return 0;
}

/* ---- the kinds of entries ---- */

static int write_all(int fd, const uint8_t *bytes, size_t length, off_t offset) {
    for (size_t at = 0; at < length;) {
        ssize_t written = pwrite(fd, bytes + at, length - at, offset + (off_t)at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return failed(written < 0 ? errno : ENOSPC, "write");
        at += (size_t)written;
    }
    return 0;
}

/* Moves what is in the pipe into the file, without a copy of ours between them. Returns how many bytes, 0 where it
 * has to be copied: there is too little, or one of the two cannot do it. */
static ssize_t move_content(struct unpacking *u, int fd, uint64_t offset, uint64_t length) {
    if (length < DIRECT_BYTES || u->from < u->filled)
        return 0;
    off64_t at = (off64_t)offset;
    ssize_t got = splice(u->input_fd, NULL, fd, &at, MIN(length, (uint64_t)BYTES_AT_ONCE), 0);
    if (got < 0)
        return errno == EINTR || errno == EINVAL ? 0 : failed(errno, "write");
    tar_took(&u->reader, (uint64_t)got);
    return got;
}

static ssize_t copy_content(struct unpacking *u, int fd, uint64_t offset, uint64_t length) {
    ssize_t got = tar_content(&u->reader, content, MIN(length, sizeof(content)));
    int error = got < 0 ? 0 : write_all(fd, content, (size_t)got, (off_t)offset);
    return error < 0 ? error : got;
}

static int write_region(struct unpacking *u, int fd, uint64_t offset, uint64_t length) {
    while (length > 0) {
        ssize_t got = move_content(u, fd, offset, length);
        if (got == 0)
            got = copy_content(u, fd, offset, length);
        if (got < 0)
            return (int)got;
        offset += (uint64_t)got;
        length -= (uint64_t)got;
        u->counts->bytes += (uint64_t)got;
    }
    return 0;
}

static int write_content(struct unpacking *u, int fd) {
    int error = entry.sparse ? 0 : write_region(u, fd, 0, entry.size);
    for (uint32_t i = 0; i < entry.region_count && error == 0; i++)
        error = write_region(u, fd, entry.regions[i].offset, entry.regions[i].length);
    if (error == 0 && entry.sparse && ftruncate(fd, (off_t)entry.size) < 0)
        error = failed(errno, "write");
    return error;
}

static int make_file(struct unpacking *u, const char *name) {
    _cleanup_fd_ int fd = openat(u->parent.fd, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int error = write_content(u, fd);
    if (error == 0)
        error = set_metadata(u, fd, true);
    if (error < 0) {
        unlinkat(u->parent.fd, name, 0); /* half a file is none */
        return 1;
    }
    return 0;
}

/* Makes a node that is whole at once. */
static int make_node(struct unpacking *u, const char *name) {
    mode_t type = entry.kind == TAR_FIFO ? S_IFIFO : entry.kind == TAR_CHAR_DEVICE ? S_IFCHR : S_IFBLK;
    int made = entry.kind == TAR_SYMLINK ? symlinkat(entry.link, u->parent.fd, name)
                                         : mknodat(u->parent.fd, name, type | 0600, makedev(entry.major, entry.minor));
    if (made < 0)
        return -errno;
    _cleanup_fd_ int fd = openat(u->parent.fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return set_metadata(u, fd, true) < 0 ? 1 : 0;
}

static int make_directory(struct unpacking *u, const char *name) {
    return mkdirat(u->parent.fd, name, 0700) < 0 ? -errno : 0;
}

static int make_link(struct unpacking *u, const char *name) {
    char path[TAR_PATH_BYTES];
    strcpy(path, entry.link);
    if (clean(path, u->wish->whole) < 0 || path[0] == '\0')
        return -EXDEV;
    char *slash = strrchr(path, '/'), *last = slash == NULL ? path : slash + 1;
    if (slash != NULL)
        *slash = '\0';
    _cleanup_fd_ int fd = open_inside(u, slash == NULL ? "" : path, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return fd;
    return linkat(fd, last, u->parent.fd, name, 0) < 0 ? -errno : 0;
}

/* Returns 0, 1 where it failed with the failure recorded, or -errno. */
static int make(struct unpacking *u, const char *name) {
    switch (entry.kind) {
    case TAR_FILE:
        return make_file(u, name);
    case TAR_DIRECTORY:
        return make_directory(u, name);
    case TAR_HARD_LINK:
        return make_link(u, name);
    default:
        return make_node(u, name);
    }
}

static int finish_directory(struct unpacking *u, const char *name) {
    _cleanup_fd_ int fd = openat(u->parent.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failed(errno, "open");
    int error = set_metadata(u, fd, false);
    return error < 0 ? error : keep_time(u);
}

/* A hard link to itself, as archives of a single file with two names may have after their paths were worked out. */
static bool is_same_file(struct unpacking *u, const char *name) {
    char path[TAR_PATH_BYTES];
    strcpy(path, entry.link);
    _cleanup_fd_ int there = clean(path, u->wish->whole) < 0 ? -1 : open_inside(u, path, O_PATH | O_NOFOLLOW);
    struct stat one, other;
    return there >= 0 && fstat(there, &one) == 0 &&
           fstatat(u->parent.fd, name, &other, AT_SYMLINK_NOFOLLOW) == 0 && one.st_ino == other.st_ino &&
           one.st_dev == other.st_dev;
}

static int place(struct unpacking *u, const char *name) {
    int error = make(u, name);
    if (error == -EEXIST) {
        if (entry.kind == TAR_HARD_LINK && is_same_file(u, name))
            return 0;
        int room = make_room(u, name);
        if (room < 0)
            return room;
        error = room == 1 ? 0 : make(u, name);
    }
    if (error == 1)
        return -failure_last()->error;
    if (error < 0 && entry.kind == TAR_HARD_LINK)
        return fail(-error, "link", "%s to %s", entry.path, entry.link);
    if (error < 0)
        return failed(-error, "make");
    return entry.kind == TAR_DIRECTORY ? finish_directory(u, name) : 0;
}

/* An entry for the destination itself, as `./` is: a layer tells of its root, a copy leaves the directory as it is. */
static int place_top(struct unpacking *u) {
    if (entry.kind != TAR_DIRECTORY)
        return fail(EISDIR, "replace the directory", "the destination");
    if (!u->wish->whiteouts)
        return 0;
    int error = set_metadata(u, u->wish->directory_fd, false);
    return error < 0 ? error : keep_time(u);
}

static int take_entry(struct unpacking *u) {
    if (clean(entry.path, u->wish->whole) < 0)
        return failed(EXDEV, OUTSIDE);
    u->counts->entries++;
    if (entry.path[0] == '\0')
        return place_top(u);
    const char *name = enter_parent(u, entry.path);
    if (name == NULL)
        return -failure_last()->error;
    if (!u->wish->whiteouts)
        return place(u, name);
    if (strncmp(name, WHITEOUT, strlen(WHITEOUT)) == 0)
        return white_out(u, name);
    int error = place(u, name);
    if (error == 0 && fresh_add(u->parent.inode, name) < 0)
        error = failed(E2BIG, "remember");
    return error;
}

int unpack(const struct unpack_wish *wish, int input_fd, struct tree_counts *counts) {
    struct unpacking u = {
        .wish = wish, .counts = counts, .input_fd = input_fd, .parent.fd = -1,
        .reader = {.source = read_input, .records = records, .globals = globals},
    };
    u.reader.context = &u;
    umask(0);
    int error = wish->whiteouts ? fresh_begin() : 0;
    if (error < 0)
        return fail(-error, "unpack", "memory");
    int more;
    while ((more = tar_next(&u.reader, &entry)) > 0) {
        error = take_entry(&u);
        if (error < 0)
            return error;
    }
    if (more == 0)
        error = tar_drain(&u.reader);
    return more < 0 ? more : error < 0 ? error : set_times(&u);
}
