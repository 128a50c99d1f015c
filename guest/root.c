#include "root.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "device.h"
#include "files.h"
#include "layer.h"
#include "mounts.h"
#include "node.h"
#include "path.h"
#include "site.h"

#define DEFAULTS "defaults"

static const char *stage_path = "/run";

void root_set_stage(const char *path) {
    stage_path = path;
}

/* ---- the request ---- */

static const struct field root_fields[] = {
    NEED(root, device, FIELD_STRING),
    NEED(root, fstype, FIELD_STRING),
    MAY(root, readonly, FIELD_BOOL),
    MAY(root, grow_bytes, FIELD_U64),
    MAY(root, upper, FIELD_STRING),
};

static const struct field container_fields[] = {
    REQUEST_FIELDS,
    NEED(container_request, container, FIELD_STRING),
    {"root", FIELD_VALUE, offsetof(struct container_request, root_value), false},
    NEED(container_request, hostname, FIELD_STRING),
    MAY(container_request, mounts, FIELD_VALUE),
    MAY(container_request, files, FIELD_VALUE),
    MAY(container_request, devices, FIELD_VALUE),
    MAY(container_request, masked, FIELD_STRINGS),
    MAY(container_request, readonly_paths, FIELD_STRINGS),
    MAY(container_request, sysctls, FIELD_VALUE),
    MAY(container_request, shm_bytes, FIELD_U64),
    MAY(container_request, pids, FIELD_STRING),
};

int root_decode(struct span request, struct container_request *wanted) {
    struct mp mp = mp_over(request);
    *wanted = (struct container_request){.shm_bytes = 64u << 20, .pids = "", .root = {.upper = ""}};
    int error = fields_decode(&mp, container_fields, COUNT(container_fields), wanted);
    if (error < 0)
        return error;
    mp = mp_over(wanted->root_value);
    return fields_decode(&mp, root_fields, COUNT(root_fields), &wanted->root);
}

static bool is_directory(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

/* ---- the root itself ---- */

static int prepare_defaults(int stage_fd) {
    _cleanup_fd_ int fd = openat(stage_fd, DEFAULTS, O_PATH | O_DIRECTORY | O_CLOEXEC);
    const struct site site = {.stage_fd = stage_fd, .root_fd = fd, .written_fd = -1, .boot_id_fd = -1};
    return fd < 0 ? fail(errno, "stage", DEFAULTS) : site_prepare_defaults(&site);
}

static int take_defaults(const struct site *site) {
    _cleanup_fd_ int fd = openat(site->stage_fd, DEFAULTS, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? fail(errno, "stage", DEFAULTS) : site_take_defaults(site, fd);
}

int root_prepare(void) {
    umask(0);
    const struct mount_options options = {.settings = {{"mode", "0700"}}, .setting_count = 1};
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return fail(errno, "mount", "/ (private)");
    _cleanup_fd_ int stage_fd = mount_new("tmpfs", NULL, &options);
    _cleanup_fd_ int target_fd = open(stage_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = stage_fd < 0 ? stage_fd : target_fd < 0 ? -errno : mount_attach(stage_fd, target_fd);
    if (error < 0)
        return fail(-error, "stage", "%s", stage_path);
    if (mkdirat(stage_fd, "root", 0755) < 0 || mkdirat(stage_fd, "share", 0700) < 0 ||
        mkdirat(stage_fd, "files", 0700) < 0 || mkdirat(stage_fd, DEFAULTS, 0700) < 0)
        return fail(errno, "stage", "%s", stage_path);
    error = prepare_defaults(stage_fd);
    return error < 0 ? error : steal_fd(&stage_fd);
}

/* A directory of the machine for a root: what namespaces use in place of a disk. */
static int bind_root(const struct root *root) {
    _cleanup_fd_ int fd = open(root->device, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : mount_copy(fd, true);
}

/* Room for mount points, and nothing else. */
static int empty_root(void) {
    const struct mount_options options = {.settings = {{"mode", "0755"}, {"size", "64k"}}, .setting_count = 2};
    return mount_new("tmpfs", NULL, &options);
}

static int open_root(struct site *site) {
    const struct root *root = &site->wanted->root;
    bool disk = root_is_disk(root);
    if (root_pauses(root))
        site->root_fd = empty_root();
    else if (root_has_layer(root))
        site->root_fd = layer_mount(root, site->stage_fd, &site->written_fd);
    else
        site->root_fd = disk ? device_mount(root->device, root->fstype, root->readonly) : bind_root(root);
    if (site->root_fd < 0)
        return root_has_layer(root) ? site->root_fd : fail(-site->root_fd, "mount", "%s", root->device);
    _cleanup_fd_ int target_fd = openat(site->stage_fd, "root", O_PATH | O_CLOEXEC);
    int error = target_fd < 0 ? -errno : mount_attach(site->root_fd, target_fd);
    if (error == 0 && !root_has_layer(root))
        error = (site->written_fd = fcntl(site->root_fd, F_DUPFD_CLOEXEC, 0)) < 0 ? -errno : 0;
    if (error < 0)
        return fail(-error, "mount", "the root");
    error = root->grow_bytes > 0 && disk ? device_grow(root->device, site->root_fd, root->grow_bytes) : 0;
    return error < 0 ? fail(-error, "grow", "%s", root->device) : 0;
}

/* ---- what the request adds ---- */

struct mount_request {
    char *type, *source, *target;
    struct strings options;
};

static const struct field mount_fields[] = {
    NEED(mount_request, type, FIELD_STRING),
    MAY(mount_request, source, FIELD_STRING),
    NEED(mount_request, target, FIELD_STRING),
    MAY(mount_request, options, FIELD_STRINGS),
};

/* One file of a share can only be bound out of it once the share is attached somewhere. */
static int open_shared_file(const struct site *site, int share_fd, const char *name) {
    _cleanup_fd_ int target_fd = openat(site->stage_fd, "share", O_PATH | O_CLOEXEC);
    int error = target_fd < 0 ? -errno : mount_attach(share_fd, target_fd);
    _cleanup_fd_ int file_fd = error < 0 ? error : path_open(share_fd, name, O_PATH | O_NOFOLLOW);
    return file_fd < 0 ? file_fd : mount_copy(file_fd, false);
}

static int open_share(const struct site *site, const struct mount_request *wanted,
                      const struct mount_options *options) {
    _cleanup_fd_ int share_fd = mount_new("virtiofs", wanted->source, options);
    if (share_fd < 0 || options->file == NULL)
        return steal_fd(&share_fd);
    return open_shared_file(site, share_fd, options->file);
}

static int open_bind(const char *source, const struct mount_options *options) {
    _cleanup_fd_ int fd = source == NULL ? -EINVAL : open(source, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return source == NULL ? -EINVAL : -errno;
    _cleanup_fd_ int copy_fd = mount_copy(fd, is_directory(fd));
    int error = copy_fd < 0 ? copy_fd : mount_restrict(copy_fd, options->attributes, true);
    return error < 0 ? error : steal_fd(&copy_fd);
}

/* A disk of its own, beside the container's. */
static int open_disk(const char *source, const struct mount_options *options) {
    if (source == NULL || options->setting_count > 0 || options->file != NULL)
        return -EINVAL;
    _cleanup_fd_ int fd = device_mount(source, "ext4", options->attributes & MOUNT_ATTR_RDONLY);
    int error = fd < 0 ? fd : mount_restrict(fd, options->attributes, false);
    return error < 0 ? error : steal_fd(&fd);
}

static int one_mount(void *item, void *context) {
    const struct mount_request *wanted = item;
    const struct site *site = context;
    struct mount_options options = {0};
    int error = mount_options_parse(&wanted->options, &options);
    if (error < 0)
        return error;
    _cleanup_fd_ int mount_fd = -EINVAL;
    if (strcmp(wanted->type, "tmpfs") == 0)
        mount_fd = mount_new("tmpfs", NULL, &options);
    else if (strcmp(wanted->type, "virtiofs") == 0)
        mount_fd = open_share(site, wanted, &options);
    else if (strcmp(wanted->type, "bind") == 0)
        mount_fd = open_bind(wanted->source, &options);
    else if (strcmp(wanted->type, "disk") == 0)
        mount_fd = open_disk(wanted->source, &options);
    return site_attach(site, mount_fd, wanted->target, mount_fd < 0 || is_directory(mount_fd));
}

static int set_sysctl(const struct site *site, char *name, const char *value) {
    char path[256];
    int length = snprintf(path, sizeof(path), "/proc/sys/%s", name);
    for (char *dot = path; (dot = strchr(dot, '.')) != NULL;)
        *dot = '/';
    if (length < 0 || (size_t)length >= sizeof(path) || strstr(path, "//") != NULL)
        return fail(EINVAL, "sysctl", "%s", name);
    _cleanup_fd_ int fd = path_open(site->root_fd, path, O_WRONLY);
    if (fd < 0)
        return fail(-fd, "sysctl", "%s", name);
    return write(fd, value, strlen(value)) < 0 ? fail(errno, "sysctl", "%s", name) : 0;
}

static int set_sysctls(const struct site *site) {
    struct span map = site->wanted->sysctls;
    struct mp mp = mp_over(map);
    uint32_t count = 0;
    if (map.length > 0 && mp_map(&mp, &count) < 0)
        return fail(EINVAL, "request", "sysctls");
    for (uint32_t i = 0; i < count; i++) {
        char text[2][256];
        for (int half = 0; half < 2; half++) {
            const uint8_t *bytes;
            uint32_t length;
            if (mp_bytes(&mp, &bytes, &length) < 0 || length >= sizeof(text[0]) || memchr(bytes, 0, length))
                return fail(EINVAL, "request", "sysctls");
            memcpy(text[half], bytes, length);
            text[half][length] = '\0';
        }
        int error = set_sysctl(site, text[0], text[1]);
        if (error < 0)
            return error;
    }
    return 0;
}

/* ---- what is hidden or cannot be changed ---- */

static int mask(const struct site *site, const char *path) {
    _cleanup_fd_ int target_fd = path_open(site->root_fd, path, O_PATH);
    if (target_fd == -ENOENT || target_fd == -ENOTDIR)
        return 0;
    if (target_fd < 0)
        return target_fd;
    const struct mount_options empty = {.attributes = SITE_HIDDEN, .settings = {{"size", "0"}}, .setting_count = 1};
    if (is_directory(target_fd)) {
        _cleanup_fd_ int fd = mount_new("tmpfs", NULL, &empty);
        return fd < 0 ? fd : mount_attach(fd, target_fd);
    }
    _cleanup_fd_ int null_fd = path_open(site->root_fd, "/dev/null", O_PATH);
    _cleanup_fd_ int copy_fd = null_fd < 0 ? null_fd : mount_copy(null_fd, false);
    return copy_fd < 0 ? copy_fd : mount_attach(copy_fd, target_fd);
}

static int make_readonly(const struct site *site, const char *path) {
    _cleanup_fd_ int target_fd = path_open(site->root_fd, path, O_PATH);
    if (target_fd == -ENOENT || target_fd == -ENOTDIR)
        return 0;
    _cleanup_fd_ int copy_fd = target_fd < 0 ? target_fd : mount_copy(target_fd, true);
    int error = copy_fd < 0 ? copy_fd : mount_restrict(copy_fd, MOUNT_ATTR_RDONLY, true);
    return error < 0 ? error : mount_attach(copy_fd, target_fd);
}

static int restrict_paths(const struct site *site) {
    const struct strings *masked = &site->wanted->masked, *readonly = &site->wanted->readonly_paths;
    for (uint32_t i = 0; i < readonly->count; i++) {
        int error = make_readonly(site, readonly->items[i]);
        if (error < 0)
            return fail(-error, "read-only path", "%s", readonly->items[i]);
    }
    for (uint32_t i = 0; i < masked->count; i++) {
        int error = mask(site, masked->items[i]);
        if (error < 0)
            return fail(-error, "masked path", "%s", masked->items[i]);
    }
    if (!site->wanted->root.readonly)
        return 0;
    int error = mount_restrict(site->root_fd, MOUNT_ATTR_RDONLY, false);
    return error < 0 ? fail(-error, "read-only path", "/") : 0;
}

/* ---- moving in ---- */

/* pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one, and is taken off. */
static int move_in(const struct site *site) {
    if (fchdir(site->root_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return fail(errno, "pivot_root", "%s", site->wanted->root.device);
    return 0;
}

static int build(struct site *site) {
    const struct container_request *wanted = site->wanted;
    int error = open_root(site);
    if (error == 0)
        error = take_defaults(site);
    if (error == 0)
        error = fields_each(wanted->mounts, mount_fields, COUNT(mount_fields), sizeof(struct mount_request),
                            one_mount, site);
    if (error == 0)
        error = nodes_place(site);
    if (error == 0)
        error = files_place(site, wanted->files);
    if (error == 0)
        error = files_keep_boot_id(site);
    if (error == 0)
        error = set_sysctls(site);
    if (error == 0)
        error = restrict_paths(site);
    return error == 0 ? move_in(site) : error;
}

bool root_is_disk(const struct root *root) {
    return strcmp(root->fstype, "bind") != 0 && !root_pauses(root) && !root_has_layer(root);
}

bool root_has_layer(const struct root *root) {
    return root->upper[0] != '\0';
}

bool root_pauses(const struct root *root) {
    return strcmp(root->fstype, "pause") == 0;
}

int root_build(const struct container_request *wanted, int stage_fd, int kept[ROOT_KEPT]) {
    struct site site = {.wanted = wanted, .stage_fd = stage_fd, .root_fd = -1, .written_fd = -1, .boot_id_fd = -1};
    if (sethostname(wanted->hostname, strlen(wanted->hostname)) < 0)
        return fail(errno, "hostname", "%s", wanted->hostname);
    int error = build(&site);
    kept[ROOT_FD] = site.root_fd;
    kept[ROOT_STAGE_FD] = site.stage_fd;
    kept[ROOT_BOOT_ID_FD] = site.boot_id_fd;
    kept[ROOT_WRITTEN_FD] = site.written_fd;
    return error;
}
