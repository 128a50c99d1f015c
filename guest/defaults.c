#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "path.h"
#include "site.h"

#define SHM "/dev/shm"

static const struct {
    const char *name;
    unsigned major, minor;
} devices[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

static const char *const links[][2] = {
    {"pts/ptmx", "ptmx"},         {"/proc/self/fd", "fd"},      {"/proc/self/fd/0", "stdin"},
    {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"},
};

/* Without CAP_MKNOD over the machine (a user namespace) the machine's own node is bound instead. */
static int bind_device(int dev_fd, const char *name) {
    char path[32];
    snprintf(path, sizeof(path), "/dev/%s", name);
    int made = openat(dev_fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
    close_fd(&made);
    _cleanup_fd_ int source_fd = open(path, O_PATH | O_CLOEXEC);
    _cleanup_fd_ int target_fd = openat(dev_fd, name, O_PATH | O_CLOEXEC);
    _cleanup_fd_ int copy_fd = source_fd < 0 || target_fd < 0 ? -errno : mount_copy(source_fd, false);
    return copy_fd < 0 ? copy_fd : mount_attach(copy_fd, target_fd);
}

static int make_devices(int dev_fd) {
    for (size_t i = 0; i < COUNT(devices); i++) {
        dev_t number = makedev(devices[i].major, devices[i].minor);
        int error = mknodat(dev_fd, devices[i].name, S_IFCHR | 0666, number) < 0 ? -errno : 0;
        if (error == -EPERM)
            error = bind_device(dev_fd, devices[i].name);
        if (error < 0)
            return fail(-error, "device", "/dev/%s", devices[i].name);
    }
    for (size_t i = 0; i < COUNT(links); i++)
        if (symlinkat(links[i][0], dev_fd, links[i][1]) < 0)
            return fail(errno, "device", "/dev/%s", links[i][1]);
    return 0;
}

static int mount_dev(const struct site *site) {
    const struct mount_options dev = {
        .attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME,
        .settings = {{"mode", "0755"}, {"size", "65536k"}}, .setting_count = 2,
    };
    _cleanup_fd_ int dev_fd = mount_new("tmpfs", NULL, &dev);
    int error = site_attach(site, dev_fd, "/dev", true);
    return error < 0 ? error : make_devices(dev_fd);
}

static int mount_pts(const struct site *site) {
    /* Group 5 is `tty` everywhere; a user namespace may not have it. */
    struct mount_options options = {
        .attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
        .settings = {{"mode", "0620"}, {"ptmxmode", "0666"}, {"gid", "5"}}, .setting_count = 3,
    };
    _cleanup_fd_ int fd = mount_new("devpts", NULL, &options);
    if (fd == -EINVAL) {
        options.setting_count = 2;
        fd = mount_new("devpts", NULL, &options);
    }
    return site_attach(site, fd, "/dev/pts", true);
}

static int mount_shm(const struct site *site) {
    const struct mount_options options = {.attributes = SITE_INERT, .settings = {{"mode", "1777"}}, .setting_count = 1};
    return site_mount(site, "tmpfs", SHM, &options);
}

static int size_shm(const struct site *site) {
    char size[24];
    snprintf(size, sizeof(size), "%llu", (unsigned long long)site->wanted->shm_bytes);
    _cleanup_fd_ int shm_fd = path_open(site->root_fd, SHM, O_PATH);
    int error = shm_fd < 0 ? shm_fd : mount_change(shm_fd, "size", size);
    return error < 0 ? fail(-error, "mount", SHM) : 0;
}

static int mount_sys(const struct site *site) {
    const struct mount_options options = {.attributes = SITE_HIDDEN};
    _cleanup_fd_ int sys_fd = mount_new("sysfs", NULL, &options);
    if (sys_fd >= 0) {
        int error = site_attach(site, sys_fd, "/sys", true);
        _cleanup_fd_ int cgroup_fd = error < 0 ? -ENOENT : mount_new("cgroup2", NULL, &options);
        if (cgroup_fd >= 0)
            site_attach(site, cgroup_fd, "/sys/fs/cgroup", true); /* a kernel without cgroups has no such place */
        return error;
    }
    /* Only the owner of the network namespace may mount sysfs; else the machine's own is shown. */
    _cleanup_fd_ int machine_fd = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
    _cleanup_fd_ int copy_fd = machine_fd < 0 ? -errno : mount_copy(machine_fd, true);
    int error = copy_fd < 0 ? copy_fd : mount_restrict(copy_fd, SITE_HIDDEN, true);
    return site_attach(site, error < 0 ? error : copy_fd, "/sys", true);
}

int site_prepare_defaults(const struct site *site) {
    const struct mount_options inert = {.attributes = SITE_INERT};
    int error = site_mount(site, "proc", "/proc", &inert);
    if (error == 0)
        error = mount_dev(site);
    if (error == 0)
        error = mount_pts(site);
    if (error == 0)
        error = mount_shm(site);
    if (error == 0)
        error = mount_sys(site);
    if (error == 0 && site_mount(site, "mqueue", "/dev/mqueue", &inert) == -ENODEV)
        return 0; /* a kernel without POSIX queues */
    return error;
}

int site_take_defaults(const struct site *site, int prepared_fd) {
    static const char *const trees[] = {"/proc", "/dev", "/sys"};
    for (size_t i = 0; i < COUNT(trees); i++) {
        _cleanup_fd_ int tree_fd = path_open(prepared_fd, trees[i], O_PATH);
        int error = site_attach(site, tree_fd, trees[i], true);
        if (error < 0)
            return error;
    }
    return size_shm(site);
}
