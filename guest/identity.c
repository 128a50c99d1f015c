#include "identity.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "container.h"
#include "files.h"
#include "path.h"
#include "proc.h"

#define MACHINE_ID_BYTES 32u
#define HOSTNAME_BYTES 64u

/* machine-id(5), and D-Bus's own, which is mostly a link to it. */
static const char *const machine_ids[] = {"/etc/machine-id", "/var/lib/dbus/machine-id"};

struct identity_request {
    char *container, *rename, *hostname, *machine_id;
    struct span files;
};

static const struct field identity_fields[] = {
    REQUEST_FIELDS,
    NEED(identity_request, container, FIELD_STRING),
    MAY(identity_request, rename, FIELD_STRING),
    MAY(identity_request, hostname, FIELD_STRING),
    MAY(identity_request, machine_id, FIELD_STRING),
    MAY(identity_request, files, FIELD_VALUE),
};

static bool is_machine_id(const char *text) {
    return strspn(text, "0123456789abcdef") == MACHINE_ID_BYTES && text[MACHINE_ID_BYTES] == '\0';
}

static int check(const struct container *container, const struct identity_request *wanted) {
    const struct container *namesake = container_find(wanted->rename);
    if (container->frozen)
        return fail(EBUSY, "identity", "%s is frozen", container->id);
    if (wanted->rename[0] != '\0' && !container_is_id(wanted->rename))
        return fail(EINVAL, "identity", "rename %.64s", wanted->rename);
    if (namesake != NULL && namesake != container)
        return fail(EEXIST, "identity", "container %s", wanted->rename);
    if (strlen(wanted->hostname) > HOSTNAME_BYTES)
        return fail(EINVAL, "hostname", "%.80s", wanted->hostname);
    if (wanted->machine_id[0] != '\0' && !is_machine_id(wanted->machine_id))
        return fail(EINVAL, "identity", "machine_id %.80s", wanted->machine_id);
    return 0;
}

/* Opens what may be a machine-id for writing, and nothing that is no file. It has to be on the root's own mount:
 * what was mounted over it may be somebody else's too. */
static int open_file(int root_fd, const char *path) {
    char link[32];
    struct stat status;
    _cleanup_fd_ int fd = path_open_unmounted(root_fd, path, O_PATH);
    if (fd < 0 || fstat(fd, &status) < 0)
        return fd < 0 ? fd : -errno;
    if (!S_ISREG(status.st_mode))
        return -ENOENT;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    int opened_fd = open(link, O_RDWR | O_CLOEXEC | O_NONBLOCK); /* a lease's holder is not waited for */
    return opened_fd < 0 ? -errno : opened_fd;
}

/* Empty, or "uninitialized", means that the next boot is to choose one. */
static bool holds_machine_id(int fd) {
    char text[MACHINE_ID_BYTES + 1] = "";
    return pread(fd, text, MACHINE_ID_BYTES, 0) == (ssize_t)MACHINE_ID_BYTES && is_machine_id(text);
}

static int replace_machine_id(int root_fd, const char *path, const char *id) {
    char line[MACHINE_ID_BYTES + 1];
    memcpy(line, id, MACHINE_ID_BYTES);
    line[MACHINE_ID_BYTES] = '\n';
    _cleanup_fd_ int fd = open_file(root_fd, path);
    if (fd == -ENOENT || fd == -ENOTDIR || fd == -EXDEV || fd == -ELOOP || fd == -EROFS)
        return 0;
    int error = fd < 0 ? fd : holds_machine_id(fd) ? overwrite(fd, line, sizeof(line)) : 0;
    return error < 0 ? fail(-error, "machine-id", "%s", path) : 0;
}

static void look_up(struct container *container) {
    for (size_t i = 0; container->kept[ROOT_FD] >= 0 && i < COUNT(machine_ids); i++) {
        int fd = path_open_unmounted(container->kept[ROOT_FD], machine_ids[i], O_PATH);
        close_fd(&fd);
    }
}

void identity_look_ahead(void) {
    containers_each(look_up);
}

struct visit {
    const struct container *container;
    const char *hostname;
};

static int visit(void *context) {
    const struct visit *visit = context;
    size_t length = strlen(visit->hostname);
    if (length > 0 && sethostname(visit->hostname, length) < 0)
        return fail(errno, "hostname", "%s", visit->hostname);
    return files_show_boot_id(visit->container->kept[ROOT_FD], visit->container->kept[ROOT_BOOT_ID_FD]);
}

static int become(struct container *container, const struct identity_request *wanted) {
    const int *kept = container->kept;
    int error = files_replace(kept[ROOT_STAGE_FD], wanted->files);
    for (size_t i = 0; error == 0 && wanted->machine_id[0] != '\0' && i < COUNT(machine_ids); i++)
        error = replace_machine_id(kept[ROOT_FD], machine_ids[i], wanted->machine_id);
    if (error == 0)
        error = files_renew_boot_id(kept[ROOT_STAGE_FD]);
    if (error == 0)
        error = container_visit(container, visit, &(struct visit){container, wanted->hostname});
    if (error == 0 && wanted->rename[0] != '\0') {
        procs_follow(container->id, wanted->rename);
        strcpy(container->id, wanted->rename);
    }
    return error;
}

struct files_request {
    char *container;
    struct span files;
};

static const struct field files_fields[] = {
    REQUEST_FIELDS,
    NEED(files_request, container, FIELD_STRING),
    NEED(files_request, files, FIELD_VALUE),
};

int op_files(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct files_request wanted;
    int error = fields_decode(&mp, files_fields, COUNT(files_fields), &wanted);
    if (error < 0)
        return error;
    const struct container *container = container_find_running("files", wanted.container);
    return container == NULL ? -failure_last()->error : files_replace(container->kept[ROOT_STAGE_FD], wanted.files);
}

int op_identity(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct identity_request wanted = {.rename = "", .hostname = "", .machine_id = ""};
    int error = fields_decode(&mp, identity_fields, COUNT(identity_fields), &wanted);
    if (error < 0)
        return error;
    struct container *container = container_find_running("identity", wanted.container);
    if (container == NULL)
        return -failure_last()->error;
    error = check(container, &wanted);
    return error < 0 ? error : become(container, &wanted);
}
