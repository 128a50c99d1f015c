#include "site.h"

#include "path.h"

int site_attach(const struct site *site, int mount_fd, const char *target, bool directory) {
    if (mount_fd < 0)
        return fail(-mount_fd, "mount", "%s", target);
    _cleanup_fd_ int target_fd =
        directory ? path_make_directory(site->root_fd, target) : path_make_file(site->root_fd, target);
    int error = target_fd < 0 ? target_fd : mount_attach(mount_fd, target_fd);
    return error < 0 ? fail(-error, "mount", "%s", target) : 0;
}

int site_mount(const struct site *site, const char *type, const char *target,
               const struct mount_options *options) {
    _cleanup_fd_ int mount_fd = mount_new(type, NULL, options);
    return site_attach(site, mount_fd, target, true);
}
