#include "pack.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "path.h"
#include "tar_write.h"

#define MOST_DEPTH 1024
#define LINK_SLOTS (1u << 21)
#define LINK_NAMES_BYTES (64u << 20)
#define XATTR_BYTES (1u << 18)
#define DIRECT_BYTES (1u << 16)
#define BYTES_AT_ONCE (1u << 30)
#define MQUEUE_MAGIC 0x19800202

/* A file with several names: its first one is found again by its number. */
struct linked {
    uint64_t device, inode;
    uint64_t name; /* behind its place in `names`; 0: a free slot */
};

struct packing {
    const struct pack_wish *wish;
    struct tree_counts *counts;
    struct tar_writer writer;
    struct linked *links;
    uint32_t link_count;
    char *names;
    size_t names_bytes, names_room;
    char path[TAR_PATH_BYTES]; /* of the object, in the archive */
};

static struct tar_entry entry;
static char xattr_names[65536];
static uint8_t xattr_values[XATTR_BYTES];

static int failed(const struct packing *p, int error, const char *step) {
    return fail(error, step, "%s", p->path[0] == '\0' ? "the directory" : p->path);
}

/* ---- hard links ---- */

static struct linked *slot_of(struct packing *p, const struct stat *status) {
    uint64_t at = (status->st_ino * 0x9e3779b97f4a7c15u ^ status->st_dev) % LINK_SLOTS;
    struct linked *slot = &p->links[at];
    while (slot->name != 0 && (slot->inode != status->st_ino || slot->device != status->st_dev))
        slot = &p->links[at = (at + 1) % LINK_SLOTS];
    return slot;
}

static int keep_name(struct packing *p, struct linked *slot, const struct stat *status) {
    size_t length = strlen(p->path) + 1;
    if (p->link_count > LINK_SLOTS / 2)
        return failed(p, E2BIG, "remember the links of");
    if (p->names_bytes + length > p->names_room) {
        size_t room = p->names_room == 0 ? 65536 : 2 * p->names_room;
        char *larger = room > LINK_NAMES_BYTES ? NULL : realloc(p->names, room);
        if (larger == NULL)
            return failed(p, ENOMEM, "remember the links of");
        p->names = larger;
        p->names_room = room;
    }
    memcpy(p->names + p->names_bytes, p->path, length);
    *slot = (struct linked){status->st_dev, status->st_ino, p->names_bytes + 1};
    p->names_bytes += length;
    p->link_count++;
    return 0;
}

/* Whether the archive has the file already: the entry is a link to that name then. Returns 1, 0 or -errno. */
static int is_known(struct packing *p, const struct stat *status) {
    if (status->st_nlink < 2)
        return 0;
    struct linked *slot = slot_of(p, status);
    if (slot->name == 0)
        return keep_name(p, slot, status);
    strcpy(entry.link, p->names + slot->name - 1);
    entry.kind = TAR_HARD_LINK;
    return 1;
}

/* ---- what is told of an object ---- */

static void self_path(char self[32], int fd) {
    snprintf(self, 32, "/proc/self/fd/%d", fd);
}

static int add_xattr(struct packing *p, const char *self, const char *name, size_t *used) {
    ssize_t length = getxattr(self, name, xattr_values + *used, sizeof(xattr_values) - *used);
    if (length < 0 && errno == ENODATA)
        return 0;
    if (length < 0 || entry.xattr_count == TAR_XATTRS)
        return fail(length < 0 ? errno : E2BIG, "read an attribute", "%s: %s", p->path, name);
    entry.xattrs[entry.xattr_count++] = (struct tar_xattr){name, xattr_values + *used, (size_t)length};
    *used += (size_t)length;
    return 0;
}

static int read_xattrs(struct packing *p, const char *self) {
    size_t used = 0;
    int error = 0;
    ssize_t length = listxattr(self, xattr_names, sizeof(xattr_names));
    entry.xattr_count = 0;
    if (length < 0)
        return errno == EOPNOTSUPP ? 0 : failed(p, errno, "read the attributes of");
    for (char *name = xattr_names; name < xattr_names + length && error == 0; name += strlen(name) + 1)
        error = add_xattr(p, self, name, &used);
    return error;
}

static void describe(struct packing *p, const struct stat *status, enum tar_kind kind) {
    entry.kind = kind;
    entry.mode = status->st_mode & 07777;
    entry.uid = status->st_uid;
    entry.gid = status->st_gid;
    entry.mtime = (struct tar_time){status->st_mtim.tv_sec, (uint32_t)status->st_mtim.tv_nsec};
    bool device = kind == TAR_CHAR_DEVICE || kind == TAR_BLOCK_DEVICE;
    entry.major = device ? major(status->st_rdev) : 0;
    entry.minor = device ? minor(status->st_rdev) : 0;
    entry.size = entry.held = 0;
    entry.sparse = false;
    entry.link[0] = '\0';
    snprintf(entry.path, sizeof(entry.path), "%s", p->path);
}

/* ---- the kinds of objects ---- */

/* The regions of a file with holes. Where it has none, or more than a map may have, it is packed whole. */
static void find_regions(int fd, const struct stat *status) {
    off_t size = status->st_size, at = 0;
    uint64_t held = 0;
    uint32_t count = 0;
    if (status->st_blocks * 512 >= size)
        return;
    while (at < size) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0 && errno != ENXIO)
            return;
        off_t start = data < 0 || data > size ? size : data, end = start == size ? size : lseek(fd, start, SEEK_HOLE);
        if (end < 0 || count == TAR_REGIONS)
            return;
        /* The last may be empty: it says that a hole ends the file. */
        end = MIN(end, size);
        entry.regions[count++] = (struct tar_region){(uint64_t)start, (uint64_t)(end - start)};
        held += (uint64_t)(end - start);
        at = end;
    }
    if (held == (uint64_t)size)
        return;
    entry.sparse = true;
    entry.region_count = count;
    entry.held = held;
}

/* Long pieces go by reference, from the page cache into the pipe. Returns how many bytes, 0 at the file's end. */
static ssize_t put_pages(struct packing *p, int fd, uint64_t offset, uint64_t length) {
    off_t at = (off_t)offset;
    int error = tar_flush(&p->writer);
    if (error < 0)
        return error;
    ssize_t got = sendfile(p->writer.fd, fd, &at, MIN(length, (uint64_t)BYTES_AT_ONCE));
    if (got >= 0 || errno == EINTR || errno == EINVAL)
        return got < 0 ? -errno : got;
    return errno == EPIPE ? fail(EPIPE, "write the archive", "the stream") : failed(p, errno, "read");
}

static ssize_t put_copy(struct packing *p, int fd, uint64_t offset, uint64_t length) {
    size_t room;
    uint8_t *bytes = tar_room(&p->writer, &room);
    ssize_t got = pread(fd, bytes, MIN(room, length), (off_t)offset);
    if (got < 0)
        return errno == EINTR ? -EINTR : failed(p, errno, "read");
    int error = tar_filled(&p->writer, (size_t)got);
    return error < 0 ? error : got;
}

static int put_region(struct packing *p, int fd, uint64_t offset, uint64_t length) {
    bool by_reference = length >= DIRECT_BYTES;
    while (length > 0) {
        ssize_t got = by_reference ? put_pages(p, fd, offset, length) : put_copy(p, fd, offset, length);
        if (got == -EINTR)
            continue;
        if (got == -EINVAL && by_reference) {
            by_reference = false; /* a file system that cannot */
            continue;
        }
        if (got <= 0)
            return got < 0 ? (int)got : failed(p, ESTALE, "read what was cut meanwhile of");
        offset += (uint64_t)got;
        length -= (uint64_t)got;
        p->counts->bytes += (uint64_t)got;
    }
    return 0;
}

static int put_file(struct packing *p, const char *self, const struct stat *status) {
    _cleanup_fd_ int fd = open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return failed(p, errno, "open");
    entry.size = entry.held = (uint64_t)status->st_size;
    find_regions(fd, status);
    int error = tar_put_entry(&p->writer, &entry);
    if (!entry.sparse && error == 0)
        error = put_region(p, fd, 0, entry.size);
    for (uint32_t i = 0; entry.sparse && i < entry.region_count && error == 0; i++)
        error = put_region(p, fd, entry.regions[i].offset, entry.regions[i].length);
    return error < 0 ? error : tar_put_padding(&p->writer, entry.held);
}

static int put_symlink(struct packing *p, int fd) {
    ssize_t length = readlinkat(fd, "", entry.link, sizeof(entry.link) - 1);
    if (length < 0)
        return failed(p, errno, "read the link");
    entry.link[length] = '\0';
    return tar_put_entry(&p->writer, &entry);
}

/* File systems that show the kernel rather than hold files. */
static bool is_pseudo(int fd) {
    struct statfs system;
    if (fstatfs(fd, &system) < 0)
        return false;
    switch (system.f_type) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEVPTS_SUPER_MAGIC:
    case MQUEUE_MAGIC:
    case SECURITYFS_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case BPF_FS_MAGIC:
        return true;
    default:
        return false;
    }
}

/* Whether `fd` is /dev as the agent mounts it, which no more belongs to the container than /proc does. */
static bool is_dev(const struct packing *p, int fd) {
    _cleanup_fd_ int dev_fd = path_open(p->wish->root_fd, "/dev", O_PATH | O_DIRECTORY | O_NOFOLLOW);
    struct stat root, dev, status;
    return dev_fd >= 0 && fstat(dev_fd, &dev) == 0 && fstat(fd, &status) == 0 && fstat(p->wish->root_fd, &root) == 0 &&
           dev.st_dev == status.st_dev && dev.st_ino == status.st_ino && dev.st_dev != root.st_dev;
}

static int put_object(struct packing *p, int fd, dev_t device, int depth);

static void close_directory(DIR **directory) {
    if (*directory != NULL)
        closedir(*directory);
}

static int put_child(struct packing *p, int directory_fd, dev_t device, const char *name, int depth) {
    size_t length = strlen(p->path), added = strlen(name);
    /* What went away since it was listed is not missed. */
    _cleanup_fd_ int fd = openat(directory_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : fail(errno, "open", "%s/%s", p->path, name);
    if (length + added + 2 >= sizeof(p->path)) /* a slash may follow */
        return fail(ENAMETOOLONG, "pack", "%s/%s", p->path, name);
    memcpy(p->path + length, name, added + 1);
    int error = put_object(p, fd, device, depth - 1);
    p->path[length] = '\0';
    return error;
}

/* `path` ends in a slash, or is empty. */
static int put_children(struct packing *p, int fd, dev_t device, int depth) {
    int directory_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0)
        return failed(p, errno, "open");
    _cleanup_(close_directory) DIR *directory = fdopendir(directory_fd);
    if (directory == NULL) {
        close(directory_fd);
        return failed(p, errno, "open");
    }
    int error = 0;
    struct dirent *each;
    while (error == 0 && (errno = 0, each = readdir(directory)) != NULL)
        if (strcmp(each->d_name, ".") != 0 && strcmp(each->d_name, "..") != 0)
            error = put_child(p, directory_fd, device, each->d_name, depth);
    return error == 0 && errno != 0 && each == NULL ? failed(p, errno, "list") : error;
}

static int put_directory(struct packing *p, int fd, const struct stat *status, dev_t device, int depth) {
    size_t length = strlen(p->path);
    int error = 0;
    if (length > 0) {
        strcpy(p->path + length, "/");
        strcpy(entry.path, p->path);
        error = tar_put_entry(&p->writer, &entry);
    }
    if (depth == 0)
        return failed(p, ELOOP, "pack what lies so deep as");
    /* Asked for by name it is packed, met on the way it is not. */
    bool elsewhere = status->st_dev != device && (is_pseudo(fd) || is_dev(p, fd));
    if (error == 0 && !elsewhere)
        error = put_children(p, fd, status->st_dev, depth);
    p->path[length] = '\0';
    return error;
}

/* `fd` is one of O_PATH; `device` that of the directory that it was found in. */
static int put_object(struct packing *p, int fd, dev_t device, int depth) {
    struct stat status;
    char self[32];
    if (fstat(fd, &status) < 0)
        return failed(p, errno, "stat");
    static const struct { mode_t type; enum tar_kind kind; } kinds[] = {
        {S_IFREG, TAR_FILE},         {S_IFDIR, TAR_DIRECTORY},    {S_IFLNK, TAR_SYMLINK},
        {S_IFIFO, TAR_FIFO},         {S_IFCHR, TAR_CHAR_DEVICE},  {S_IFBLK, TAR_BLOCK_DEVICE},
    };
    size_t kind = 0;
    while (kind < COUNT(kinds) && kinds[kind].type != (status.st_mode & S_IFMT))
        kind++;
    if (kind == COUNT(kinds)) {
        p->counts->left_out++; /* a socket is what a process listens on, not what could be kept */
        return 0;
    }
    p->counts->entries++;
    describe(p, &status, kinds[kind].kind);
    self_path(self, fd);
    int error = entry.kind == TAR_DIRECTORY ? 0 : is_known(p, &status);
    if (error < 0)
        return error;
    if (error == 1)
        return tar_put_entry(&p->writer, &entry);
    error = read_xattrs(p, self);
    if (error < 0)
        return error;
    switch (entry.kind) {
    case TAR_FILE:
        return put_file(p, self, &status);
    case TAR_DIRECTORY:
        return put_directory(p, fd, &status, device, depth);
    case TAR_SYMLINK:
        return put_symlink(p, fd);
    default:
        return tar_put_entry(&p->writer, &entry);
    }
}

static int put_path(struct packing *p, const char *path, const char *name) {
    size_t length = strlen(path);
    /* A slash behind a link asks for what it leads to. */
    bool through = p->wish->follow || (length > 0 && path[length - 1] == '/') ||
                   (length > 1 && strcmp(path + length - 2, "/.") == 0);
    _cleanup_fd_ int fd = path_open(p->wish->root_fd, path, O_PATH | (through ? 0 : O_NOFOLLOW));
    if (fd < 0)
        return fail(-fd, "open", "%s", path);
    struct stat status;
    if (fstat(fd, &status) < 0 || strlen(name) + 2 >= sizeof(p->path))
        return fail(strlen(name) + 2 >= sizeof(p->path) ? ENAMETOOLONG : errno, "stat", "%s", path);
    if (name[0] == '\0' && !S_ISDIR(status.st_mode))
        return fail(ENOTDIR, "open", "%s", path);
    strcpy(p->path, name);
    return put_object(p, fd, status.st_dev, MOST_DEPTH);
}

int pack(const struct pack_wish *wish, int output_fd, struct tree_counts *counts) {
    struct packing p = {.wish = wish, .counts = counts, .writer.fd = output_fd};
    /* What is not touched costs nothing. */
    p.links = calloc(LINK_SLOTS, sizeof(*p.links));
    if (p.links == NULL)
        return fail(ENOMEM, "pack", "links");
    int error = 0;
    for (uint32_t i = 0; i < wish->paths.count && error == 0; i++)
        error = put_path(&p, wish->paths.items[i], wish->names.items[i]);
    return error < 0 ? error : tar_put_end(&p.writer);
}
