#include "node.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "device.h"

#define NODES "nodes"

struct node_request {
    char *path, *device;
    bool readonly;
    uint32_t mode, uid, gid;
};

static const struct field node_fields[] = {
    NEED(node_request, path, FIELD_STRING), NEED(node_request, device, FIELD_STRING),
    MAY(node_request, readonly, FIELD_BOOL), NEED(node_request, mode, FIELD_U32),
    MAY(node_request, uid, FIELD_U32),      MAY(node_request, gid, FIELD_U32),
};

struct nodes {
    int fd; /* the stage's directory of nodes */
    unsigned count;
    const struct site *site;
};

/* Its number, once the kernel knows whether it may be written to. */
static int look_at(const struct node_request *wanted, dev_t *number) {
    struct stat status;
    const int readonly = wanted->readonly;
    _cleanup_fd_ int fd = device_open(wanted->device);
    if (fd < 0 || fstat(fd, &status) < 0)
        return fd < 0 ? fd : -errno;
    if (!S_ISBLK(status.st_mode))
        return -ENOTBLK;
    *number = status.st_rdev;
    return ioctl(fd, BLKROSET, &readonly) < 0 || ioctl(fd, BLKFLSBUF, 0) < 0 ? -errno : 0;
}

/* On the stage, from where it is bound: a root that is a disk keeps nothing of it. */
static int make_node(struct nodes *nodes, const struct node_request *wanted) {
    dev_t number = 0;
    char name[16];
    int error = look_at(wanted, &number);
    snprintf(name, sizeof(name), "%u", nodes->count++);
    if (error == 0 && (mknodat(nodes->fd, name, S_IFBLK | 0600, number) < 0 ||
                       fchownat(nodes->fd, name, wanted->uid, wanted->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
                       fchmodat(nodes->fd, name, wanted->mode & 0666, 0) < 0))
        error = -errno;
    if (error < 0)
        return error;
    _cleanup_fd_ int fd = openat(nodes->fd, name, O_PATH | O_CLOEXEC);
    return fd < 0 ? -errno : mount_copy(fd, false);
}

static int place_one(void *item, void *context) {
    const struct node_request *wanted = item;
    struct nodes *nodes = context;
    _cleanup_fd_ int node_fd = make_node(nodes, wanted);
    if (node_fd < 0)
        return fail(-node_fd, "device", "%s", wanted->path);
    return site_attach(nodes->site, node_fd, wanted->path, false);
}

int nodes_place(const struct site *site) {
    struct span list = site->wanted->devices;
    if (list.length == 0)
        return 0;
    if (mkdirat(site->stage_fd, NODES, 0700) < 0)
        return fail(errno, "device", "the stage");
    _cleanup_fd_ int fd = openat(site->stage_fd, NODES, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct nodes nodes = {fd, 0, site};
    if (fd < 0)
        return fail(errno, "device", "the stage");
    return fields_each(list, node_fields, COUNT(node_fields), sizeof(struct node_request), place_one, &nodes);
}
