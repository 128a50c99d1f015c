#include "files.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "path.h"

#define FILES "files"
#define BOOT_ID "boot_id"
#define KERNEL_BOOT_ID "/proc/sys/kernel/random/boot_id"

struct file_request {
    char *path;
    uint32_t mode;
    struct span data;
};

static const struct field file_fields[] = {
    NEED(file_request, path, FIELD_STRING),
    NEED(file_request, mode, FIELD_U32),
    NEED(file_request, data, FIELD_BYTES),
};

struct files {
    int fd; /* the stage's directory of files */
    const struct site *site;
};

static int write_file(const struct files *files, const struct file_request *wanted) {
    _cleanup_fd_ int fd = path_open(files->fd, wanted->path, O_WRONLY);
    int error = fd < 0 ? fd : overwrite(fd, wanted->data.bytes, wanted->data.length);
    if (error == 0 && fchmod(fd, wanted->mode & 07777) < 0)
        error = -errno;
    return error < 0 ? fail(-error, "file", "%s", wanted->path) : 0;
}

static int place_one(void *item, void *context) {
    const struct file_request *wanted = item;
    const struct files *files = context;
    _cleanup_fd_ int made_fd = path_make_file(files->fd, wanted->path);
    if (made_fd < 0)
        return fail(-made_fd, "file", "%s", wanted->path);
    int error = write_file(files, wanted);
    if (error < 0)
        return error;
    _cleanup_fd_ int copy_fd = mount_copy(made_fd, false);
    return site_attach(files->site, copy_fd, wanted->path, false);
}

static int replace_one(void *item, void *context) {
    return write_file(context, item);
}

static int each_file(int stage_fd, const struct site *site, struct span list, int (*each)(void *, void *)) {
    _cleanup_fd_ int fd = openat(stage_fd, FILES, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct files files = {fd, site};
    if (fd < 0)
        return fail(errno, "file", "the stage");
    return fields_each(list, file_fields, COUNT(file_fields), sizeof(struct file_request), each, &files);
}

int files_place(const struct site *site, struct span files) {
    return each_file(site->stage_fd, site, files, place_one);
}

int files_replace(int stage_fd, struct span files) {
    return each_file(stage_fd, NULL, files, replace_one);
}

/* ---- boot_id ---- */

/* The stage is attached nowhere once the container has moved in, and what is attached nowhere cannot be bound
 * from: so the mount is made now. */
int files_keep_boot_id(struct site *site) {
    _cleanup_fd_ int fd = openat(site->stage_fd, BOOT_ID, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
    site->boot_id_fd = fd < 0 ? -errno : mount_copy(fd, false);
    int error = site->boot_id_fd < 0 ? site->boot_id_fd : mount_restrict(site->boot_id_fd, SITE_HIDDEN, false);
    return error < 0 ? fail(-error, "boot_id", "the stage") : 0;
}

int files_renew_boot_id(int stage_fd) {
    uint8_t id[16];
    char text[38];
    _cleanup_fd_ int fd = openat(stage_fd, BOOT_ID, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || getrandom(id, sizeof(id), GRND_INSECURE) != sizeof(id))
        return fail(errno, "boot_id", "the stage");
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40); /* RFC 9562: version 4, */
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80); /* variant 1 */
    char *at = text;
    for (size_t i = 0; i < sizeof(id); i++)
        at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id[i]);
    *at++ = '\n';
    int error = overwrite(fd, text, (size_t)(at - text));
    return error < 0 ? fail(-error, "boot_id", "the stage") : 0;
}

int files_show_boot_id(int root_fd, int boot_id_fd) {
    struct statfs system;
    _cleanup_fd_ int target_fd = path_open(root_fd, KERNEL_BOOT_ID, O_PATH);
    if (target_fd == -ENOENT || target_fd == -ENOTDIR)
        return 0; /* the container has taken its /proc away */
    if (target_fd < 0 || fstatfs(target_fd, &system) < 0)
        return fail(target_fd < 0 ? -target_fd : errno, "boot_id", "%s", KERNEL_BOOT_ID);
    if (system.f_type != PROC_SUPER_MAGIC)
        return 0; /* it shows ours already */
    int error = mount_attach(boot_id_fd, target_fd);
    return error < 0 ? fail(-error, "boot_id", "%s", KERNEL_BOOT_ID) : 0;
}
