#include "freeze.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

/* ioctl_fsfreeze: FIFREEZE waits until what is being written is on the disk; EBUSY where it is frozen already,
 * EINVAL for FITHAW where it is not, EOPNOTSUPP where the file system cannot be. */
static int order(const struct container *container, unsigned long what) {
    _cleanup_fd_ int fd = openat(container->kept[ROOT_FD], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || ioctl(fd, what, 0) < 0 ? -errno : 0;
}

void freeze_end(struct container *container) {
    if (!container->frozen)
        return;
    int error = order(container, FITHAW);
    if (error < 0 && error != -EINVAL)
        say("cannot thaw container %s: %s", container->id, strerror(-error));
    container->frozen = false;
}

void freeze_end_all(void) {
    containers_each(freeze_end);
}

struct freeze_request {
    char *container;
};

static const struct field freeze_fields[] = {REQUEST_FIELDS, NEED(freeze_request, container, FIELD_STRING)};

static int set_frozen(const char *step, struct span request, bool frozen) {
    struct mp mp = mp_over(request);
    struct freeze_request wanted;
    int error = fields_decode(&mp, freeze_fields, COUNT(freeze_fields), &wanted);
    if (error < 0)
        return error;
    struct container *container = container_find_running(step, wanted.container);
    if (container == NULL)
        return -failure_last()->error;
    /* A directory's file system is somebody else's too. */
    error = container->disk ? order(container, frozen ? FIFREEZE : FITHAW) : -EOPNOTSUPP;
    if (error < 0)
        return fail(-error, step, "the root of container %s", container->id);
    container->frozen = frozen;
    return 0;
}

int op_freeze(struct span request, struct mpw *ok) {
    (void)ok;
    return set_frozen("freeze", request, true);
}

int op_thaw(struct span request, struct mpw *ok) {
    (void)ok;
    return set_frozen("thaw", request, false);
}
