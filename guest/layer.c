#include "layer.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "device.h"
#include "module.h"
#include "mounts.h"

#define LOWER "lower"
#define LAYER "layer"
#define NEW "upper.new"

/* Relative to the stage. What a later kernel would do by itself is said, so that one layer fits every kernel: its
 * files are whole copies, and no name in it leads elsewhere. Two ext4 leave xino room in an inode's number. */
static const char *const settings[][2] = {
    {"source", "overlay"},   {"lowerdir", LOWER},      {"upperdir", LAYER "/upper"}, {"workdir", LAYER "/work"},
    {"metacopy", "off"}, {"redirect_dir", "off"}, {"index", "off"},             {"xino", "on"},
};

void layer_load(const struct root *root) {
    if (root->upper[0] != '\0')
        (void)module_load("overlay"); /* it may be built in; if not, mounting fails and says so */
}

/* Attaches `mount_fd` at a new directory of the stage. */
static int put_on_stage(int stage_fd, const char *name, int mount_fd) {
    if (mkdirat(stage_fd, name, 0700) < 0)
        return -errno;
    _cleanup_fd_ int target_fd = openat(stage_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return target_fd < 0 ? -errno : mount_attach(mount_fd, target_fd);
}

/* Merged directories show the upper one's mode and owner, the root's among them. It has its name only once it is as
 * it is to be. */
static int make_upper(int layer_fd, int lower_fd) {
    struct stat status;
    _cleanup_fd_ int fd = openat(layer_fd, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 || errno != ENOENT)
        return fd < 0 ? -errno : 0;
    if (fstat(lower_fd, &status) < 0 || (mkdirat(layer_fd, NEW, 0700) < 0 && errno != EEXIST))
        return -errno;
    fd = openat(layer_fd, NEW, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, status.st_uid, status.st_gid) < 0 || fchmod(fd, status.st_mode & 07777) < 0 ||
        renameat(layer_fd, NEW, layer_fd, "upper") < 0)
        return -errno;
    return 0;
}

static int mount_overlay(void) {
    _cleanup_fd_ int fd = fsopen("overlay", FSOPEN_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < COUNT(settings); i++)
        if (fsconfig(fd, FSCONFIG_SET_STRING, settings[i][0], settings[i][1], 0) < 0)
            return -errno;
    if (fd < 0 || fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    int mount_fd = fsmount(fd, FSMOUNT_CLOEXEC, 0);
    return mount_fd < 0 ? -errno : mount_fd;
}

int layer_mount(const struct root *root, int stage_fd, int *upper_fd) {
    _cleanup_fd_ int lower_fd = device_mount_locked(root->device, root->fstype);
    int error = lower_fd < 0 ? lower_fd : put_on_stage(stage_fd, LOWER, lower_fd);
    if (error < 0)
        return fail(-error, "mount", "%s", root->device);
    _cleanup_fd_ int layer_fd = device_mount(root->upper, "ext4", false);
    error = layer_fd < 0 ? layer_fd : put_on_stage(stage_fd, LAYER, layer_fd);
    if (error < 0)
        return fail(-error, "mount", "%s", root->upper);
    error = make_upper(layer_fd, lower_fd);
    if (error == 0 && mkdirat(layer_fd, "work", 0700) < 0 && errno != EEXIST)
        error = -errno;
    if (error < 0 || fchdir(stage_fd) < 0)
        return fail(error < 0 ? -error : errno, "layer", "%s", root->upper);
    *upper_fd = openat(layer_fd, "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int mount_fd = *upper_fd < 0 ? -errno : mount_overlay();
    return mount_fd < 0 ? fail(-mount_fd, "mount", "overlay of %s on %s", root->upper, root->device) : mount_fd;
}
