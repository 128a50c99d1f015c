#include "store.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "child.h"
#include "device.h"
#include "init.h"
#include "module.h"
#include "mounts.h"
#include "path.h"

#define STORE "/pod"
#define GONE ".gone"
#define WALK_FDS 32

struct mount_wish {
    char *type, *source, *target, *upper, *work;
    struct strings options, lower;
    uint32_t mode;
};

static const struct field mount_fields[] = {
    REQUEST_FIELDS,
    NEED(mount_wish, type, FIELD_STRING),
    MAY(mount_wish, source, FIELD_STRING),
    NEED(mount_wish, target, FIELD_STRING),
    MAY(mount_wish, options, FIELD_STRINGS),
    MAY(mount_wish, lower, FIELD_STRINGS),
    MAY(mount_wish, upper, FIELD_STRING),
    MAY(mount_wish, work, FIELD_STRING),
    MAY(mount_wish, mode, FIELD_U32),
};

/* ---- places ---- */

/* Below the store, and the way it is written: what is given to mount(2) is walked again there. A comma or a colon
 * would end it in overlayfs's words. */
static bool is_place(const char *path) {
    size_t length = strlen(STORE);
    if (strncmp(path, STORE, length) != 0 || (path[length] != '/' && path[length] != '\0') ||
        strpbrk(path, ":,\\") != NULL)
        return false;
    for (const char *at = path; (at = strchr(at, '/')) != NULL; at++)
        if (at[1] == '\0' || at[1] == '/' || (at[1] == '.' && (at[2] == '\0' || at[2] == '/' || at[2] == '.')))
            return false;
    return true;
}

/* Opens the directory, made where it is missing. Returns a descriptor or -errno with the failure recorded. */
static int open_place(const char *path) {
    if (!is_place(path))
        return fail(EINVAL, "place", "%s", path);
    _cleanup_fd_ int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = root_fd < 0 ? -errno : path_make_directory(root_fd, path);
    return fd < 0 ? fail(-fd, "directory", "%s", path) : fd;
}

/* ---- mounts ---- */

static int mount_by_descriptor(const struct mount_wish *wish, int target_fd) {
    struct mount_options options = {0};
    int error = mount_options_parse(&wish->options, &options);
    if (error < 0)
        return error;
    _cleanup_fd_ int mount_fd = -1;
    if (strcmp(wish->type, "ext4") == 0)
        mount_fd = device_mount(wish->source, "ext4", false);
    else
        mount_fd = mount_new(wish->type, *wish->source == '\0' ? NULL : wish->source, &options);
    error = mount_fd < 0 ? mount_fd : mount_attach(mount_fd, target_fd);
    return error < 0 ? fail(-error, "mount", "%s", wish->target) : 0;
}

static int append(char *text, size_t room, const char *before, const char *path) {
    size_t length = strlen(text);
    int added = snprintf(text + length, room - length, "%s%s", before, path);
    return added < 0 || (size_t)added >= room - length ? -E2BIG : 0;
}

static int make_places(const struct mount_wish *wish) {
    _cleanup_fd_ int upper_fd = open_place(wish->upper);
    _cleanup_fd_ int work_fd = upper_fd < 0 ? upper_fd : open_place(wish->work);
    return work_fd < 0 ? work_fd : 0;
}

/* By mount(2), since fsconfig(2) takes at most 255 bytes for all layers together. */
static int mount_overlay(const struct mount_wish *wish) {
    static char words[4096];
    int error = make_places(wish);
    if (error < 0)
        return error;
    words[0] = '\0';
    error = wish->lower.count == 0 ? -EINVAL : 0;
    for (uint32_t i = 0; i < wish->lower.count && error == 0; i++)
        error = !is_place(wish->lower.items[i])
                    ? -EINVAL
                    : append(words, sizeof(words), i == 0 ? "lowerdir=" : ":", wish->lower.items[i]);
    if (error == 0)
        error = append(words, sizeof(words), ",upperdir=", wish->upper);
    if (error == 0)
        error = append(words, sizeof(words), ",workdir=", wish->work);
    if (error < 0)
        return fail(-error, "overlay", "%u layers", wish->lower.count);
    error = mount("overlay", wish->target, "overlay", 0, words) < 0 ? errno : 0;
    if (error == ENODEV && module_load("overlay") == 0)
        error = mount("overlay", wish->target, "overlay", 0, words) < 0 ? errno : 0;
    return error != 0 ? fail(error, "mount", "overlay at %s", wish->target) : 0;
}

int op_mount(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct mount_wish wish = {.source = "", .upper = "", .work = "", .mode = 0755};
    int error = fields_decode(&mp, mount_fields, COUNT(mount_fields), &wish);
    if (error < 0)
        return error;
    _cleanup_fd_ int target_fd = open_place(wish.target);
    if (target_fd < 0)
        return target_fd;
    bool known = strcmp(wish.type, "ext4") == 0 || strcmp(wish.type, "tmpfs") == 0 || strcmp(wish.type, "virtiofs") == 0;
    if (strcmp(wish.type, "directory") == 0)
        error = chmod(wish.target, wish.mode & 07777) < 0 ? fail(errno, "directory", "%s", wish.target) : 0;
    else if (strcmp(wish.type, "overlay") == 0)
        error = mount_overlay(&wish);
    else
        error = known ? mount_by_descriptor(&wish, target_fd) : fail(EINVAL, "mount", "%s", wish.type);
    if (error == 0)
        init_forget(); /* it has the mounts of the moment when it was made */
    return error;
}

struct place_request {
    char *target;
};

static const struct field unmount_fields[] = {REQUEST_FIELDS, NEED(place_request, target, FIELD_STRING)};

int op_unmount(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct place_request wish;
    int error = fields_decode(&mp, unmount_fields, COUNT(unmount_fields), &wish);
    if (error < 0)
        return error;
    if (!is_place(wish.target))
        return fail(EINVAL, "place", "%s", wish.target);
    return umount2(wish.target, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? fail(errno, "unmount", "%s", wish.target) : 0;
}

void store_end(void) {
    umount2(STORE, MNT_DETACH | UMOUNT_NOFOLLOW);
}

/* ---- sweeping ---- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)walk;
    int gone = type == FTW_DP ? rmdir(path) : unlink(path);
    (void)gone; /* what cannot be removed stays for the next sweep */
    return 0;
}

/* In a child, since a tree may be large and other requests do not wait for it. */
static void remove_behind(const char *trash) {
    pid_t pid = fork();
    if (pid < 0)
        say("cannot remove %s: %s", trash, strerror(errno)); /* the next sweep does */
    if (pid != 0)
        return;
    child_clean(3);
    nftw(trash, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    _exit(0);
}

static bool is_kept(const struct strings *keep, const char *name) {
    for (uint32_t i = 0; i < keep->count; i++)
        if (strcmp(keep->items[i], name) == 0)
            return true;
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, GONE) == 0 ||
           strcmp(name, "lost+found") == 0;
}

/* Moves each out of sight; its name there is its number, so that a later one of the same name has room. What an
 * earlier machine left there is to go, too. */
static int put_away(DIR *directory, const struct strings *keep, bool *any) {
    int fd = dirfd(directory);
    *any = faccessat(fd, GONE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    for (struct dirent *entry; (errno = 0, entry = readdir(directory)) != NULL;) {
        static uint64_t number;
        char name[48];
        if (is_kept(keep, entry->d_name))
            continue;
        if (mkdirat(fd, GONE, 0700) < 0 && errno != EEXIST)
            return -errno;
        *any = true;
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        snprintf(name, sizeof(name), GONE "/%llx-%llx", (unsigned long long)now.tv_sec, (unsigned long long)number++);
        if (renameat(fd, entry->d_name, fd, name) < 0 && errno != ENOENT)
            return -errno;
    }
    return -errno;
}

struct sweep_request {
    char *target;
    struct strings keep;
};

static const struct field sweep_fields[] = {
    REQUEST_FIELDS,
    NEED(sweep_request, target, FIELD_STRING),
    NEED(sweep_request, keep, FIELD_STRINGS),
};

static void close_directory(DIR **directory) {
    if (*directory != NULL)
        closedir(*directory);
}

int op_sweep(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct sweep_request wish;
    char trash[256];
    bool any = false;
    int error = fields_decode(&mp, sweep_fields, COUNT(sweep_fields), &wish);
    if (error < 0)
        return error;
    _cleanup_fd_ int place_fd = open_place(wish.target);
    if (place_fd < 0)
        return place_fd;
    if (snprintf(trash, sizeof(trash), "%s/" GONE, wish.target) >= (int)sizeof(trash))
        return fail(ENAMETOOLONG, "sweep", "%s", wish.target);
    _cleanup_(close_directory) DIR *directory = opendir(wish.target);
    error = directory == NULL ? -errno : put_away(directory, &wish.keep, &any);
    if (error < 0)
        return fail(-error, "sweep", "%s", wish.target);
    if (any)
        remove_behind(trash);
    return 0;
}
