#include "mounts.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

static const struct {
    const char *name;
    uint64_t attribute;
} flags[] = {
    {"ro", MOUNT_ATTR_RDONLY},     {"nosuid", MOUNT_ATTR_NOSUID}, {"nodev", MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC}, {"rw", 0},
};

static int parse_setting(char *option, struct mount_options *parsed) {
    char *equals = strchr(option, '=');
    if (equals == NULL)
        return -EINVAL;
    *equals = '\0';
    if (strcmp(option, "file") == 0) {
        parsed->file = equals + 1;
        return parsed->file[0] == '\0' || strchr(parsed->file, '/') != NULL ? -EINVAL : 0;
    }
    if ((strcmp(option, "mode") != 0 && strcmp(option, "size") != 0) || parsed->setting_count == 8)
        return -EINVAL;
    parsed->settings[parsed->setting_count][0] = option;
    parsed->settings[parsed->setting_count++][1] = equals + 1;
    return 0;
}

int mount_options_parse(const struct strings *options, struct mount_options *parsed) {
    for (uint32_t i = 0; i < options->count; i++) {
        size_t flag = 0;
        while (flag < COUNT(flags) && strcmp(flags[flag].name, options->items[i]) != 0)
            flag++;
        if (flag < COUNT(flags))
            parsed->attributes |= flags[flag].attribute;
        else if (parse_setting(options->items[i], parsed) < 0)
            return fail(EINVAL, "mount option", "%s", options->items[i]);
    }
    return 0;
}

int mount_new(const char *type, const char *source, const struct mount_options *options) {
    _cleanup_fd_ int fd = fsopen(type, FSOPEN_CLOEXEC);
    if (fd < 0)
        return -errno;
    /* What `mount` and `df` show as the device. */
    if (fsconfig(fd, FSCONFIG_SET_STRING, "source", source == NULL ? type : source, 0) < 0)
        return -errno;
    for (uint32_t i = 0; i < options->setting_count; i++)
        if (fsconfig(fd, FSCONFIG_SET_STRING, options->settings[i][0], options->settings[i][1], 0) < 0)
            return -errno;
    if (fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    int mount_fd = fsmount(fd, FSMOUNT_CLOEXEC, (unsigned)options->attributes);
    return mount_fd < 0 ? -errno : mount_fd;
}

int mount_copy(int fd, bool recursive) {
    unsigned how = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    int copy = open_tree(fd, "", how);
    return copy < 0 ? -errno : copy;
}

int mount_restrict(int fd, uint64_t attributes, bool recursive) {
    struct mount_attr wanted = {.attr_set = attributes};
    if (attributes == 0)
        return 0;
    int how = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return mount_setattr(fd, "", (unsigned)how, &wanted, sizeof(wanted)) < 0 ? -errno : 0;
}

int mount_change(int fd, const char *key, const char *value) {
    _cleanup_fd_ int context_fd = fspick(fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
    if (context_fd < 0 || fsconfig(context_fd, FSCONFIG_SET_STRING, key, value, 0) < 0 ||
        fsconfig(context_fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
        return -errno;
    return 0;
}

int mount_attach(int mount_fd, int target_fd) {
    unsigned how = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    return move_mount(mount_fd, "", target_fd, "", how) < 0 ? -errno : 0;
}
