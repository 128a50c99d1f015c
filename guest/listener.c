#include "listener.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>

#include "address.h"
#include "connection.h"
#include "path.h"
#include "port.h"

#define BACKLOG 64
#define PATH_BYTES 4096u

struct listener {
    struct watch watch;
    const struct container *container;
    uint32_t id;
    int fd;
    int parent_fd; /* the directory that its file is in; -1: a TCP port */
    char name[256];
    dev_t device;
    ino_t inode;
    bool used;
    bool told; /* "incoming", and the host has not heard since that nobody waits */
};

static struct listener listeners[MAX_LISTENERS];

/* ---- the table ---- */

static struct listener *find(uint32_t id) {
    for (size_t i = 0; i < MAX_LISTENERS; i++)
        if (listeners[i].used && listeners[i].id == id)
            return &listeners[i];
    return NULL;
}

static struct listener *reserve(uint32_t id) {
    if (find(id) != NULL) {
        fail(EEXIST, "listen", "listener %u", id);
        return NULL;
    }
    for (size_t i = 0; i < MAX_LISTENERS; i++) {
        if (listeners[i].used)
            continue;
        listeners[i] = (struct listener){.id = id, .fd = -1, .parent_fd = -1, .used = true};
        return &listeners[i];
    }
    fail(EMFILE, "listen", "more than %u listeners", MAX_LISTENERS);
    return NULL;
}

static void end(struct listener *listener) {
    close_fd(&listener->fd);
    close_fd(&listener->parent_fd);
    listener->used = false;
}

void listeners_end_of(const struct container *container) {
    for (size_t i = 0; i < MAX_LISTENERS; i++)
        if (listeners[i].used && listeners[i].container == container)
            end(&listeners[i]);
}

void listeners_end_all(void) {
    for (size_t i = 0; i < MAX_LISTENERS; i++)
        if (listeners[i].used)
            end(&listeners[i]);
}

/* ---- a file to listen on ---- */

/* Whether `name` is a socket that nobody listens on any more. */
static bool is_stale(int parent_fd, const char *name) {
    union address address;
    struct stat status;
    _cleanup_fd_ int file_fd = openat(parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_fd_ int probe_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (file_fd < 0 || probe_fd < 0 || fstat(file_fd, &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;
    int length = address_of_file(file_fd, &address);
    return connect(probe_fd, &address.any, (socklen_t)length) < 0 && errno == ECONNREFUSED;
}

static int bind_file(struct listener *listener, mode_t mode) {
    union address address;
    int length = address_of_entry(listener->parent_fd, listener->name, &address);
    if (length < 0)
        return length;
    if (is_stale(listener->parent_fd, listener->name))
        unlinkat(listener->parent_fd, listener->name, 0);
    mode_t kept = umask(0777 & ~mode); /* it is never, not for a moment, open to more than `mode` says */
    int error = bind(listener->fd, &address.any, (socklen_t)length) < 0 ? -errno : 0;
    umask(kept);
    return error;
}

/* The owner is given to the socket itself: what else a stranger may have put in its place stays as it is. */
static int own_file(struct listener *listener, uint32_t uid, uint32_t gid) {
    struct stat status;
    _cleanup_fd_ int file_fd = openat(listener->parent_fd, listener->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file_fd < 0 || fstat(file_fd, &status) < 0)
        return -errno;
    if (!S_ISSOCK(status.st_mode))
        return -ENOTSOCK;
    listener->device = status.st_dev;
    listener->inode = status.st_ino;
    return fchownat(file_fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static void remove_file(const struct listener *listener) {
    struct stat status;
    if (listener->parent_fd >= 0 &&
        fstatat(listener->parent_fd, listener->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_dev == listener->device && status.st_ino == listener->inode)
        unlinkat(listener->parent_fd, listener->name, 0);
}

/* ---- listen ---- */

struct listen_request {
    struct place place;
    uint32_t listener, mode, uid, gid;
};

static const struct field listen_fields[] = {
    REQUEST_FIELDS,
    PLACE_FIELDS(listen_request),
    NEED(listen_request, listener, FIELD_U32),
    MAY(listen_request, mode, FIELD_U32),
    MAY(listen_request, uid, FIELD_U32),
    MAY(listen_request, gid, FIELD_U32),
};

static void tell(struct listener *listener) {
    uint8_t event[64];
    struct mpw w = {.bytes = event, .room = sizeof(event)};
    mpw_map(&w, 2);
    mpw_string(&w, "ev");
    mpw_string(&w, "incoming");
    mpw_string(&w, "listener");
    mpw_unsigned(&w, listener->id);
    listener->told = port_send_control(&w);
}

static void listener_ready(struct watch *watch, uint32_t events) {
    (void)events;
    struct listener *listener = (struct listener *)watch;
    if (listener->used && listener->fd >= 0 && !listener->told)
        tell(listener);
}

static int bind_path(struct listener *listener, const struct listen_request *wanted) {
    char parent[PATH_BYTES];
    const char *path = wanted->place.path;
    if (wanted->mode > 0777)
        return -EINVAL;
    if (path_split(path, parent, listener->name, sizeof(listener->name)) < 0)
        return strlen(path) >= sizeof(listener->name) ? -ENAMETOOLONG : -EINVAL;
    listener->parent_fd = path_make_directory(listener->container->kept[ROOT_FD], parent);
    if (listener->parent_fd < 0)
        return listener->parent_fd;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0)
        return -errno;
    int error = bind_file(listener, (mode_t)wanted->mode);
    if (error == 0) {
        error = own_file(listener, wanted->uid, wanted->gid);
        if (error < 0)
            remove_file(listener);
    }
    return error;
}

static int bind_port(struct listener *listener, const struct place *place) {
    union address address;
    int length = address_of_port("listen", place, &address);
    if (length < 0)
        return length;
    listener->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0)
        return -errno;
    setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    return bind(listener->fd, &address.any, (socklen_t)length) < 0 ? -errno : 0;
}

static int begin(struct listener *listener, const struct listen_request *wanted) {
    bool path = wanted->place.path[0] != '\0';
    int error = path ? bind_path(listener, wanted) : bind_port(listener, &wanted->place);
    if (error == 0 && listen(listener->fd, BACKLOG) < 0)
        error = -errno;
    listener->watch.ready = listener_ready;
    return error < 0 ? error : watch_add(listener->fd, &listener->watch);
}

static uint32_t bound_port(const struct listener *listener) {
    union address address;
    socklen_t length = sizeof(address);
    if (getsockname(listener->fd, &address.any, &length) < 0 || address.any.sa_family == AF_UNIX)
        return 0;
    return ntohs(address.any.sa_family == AF_INET ? address.in.sin_port : address.in6.sin6_port);
}

int op_listen(struct span request, struct mpw *ok) {
    struct mp mp = mp_over(request);
    struct listen_request wanted = {.place = PLACE_DEFAULT, .mode = 0600};
    int error = fields_decode(&mp, listen_fields, COUNT(listen_fields), &wanted);
    if (error < 0)
        return error;
    const struct container *container = place_check("listen", &wanted.place);
    if (container == NULL)
        return -failure_last()->error;
    if (container->frozen)
        return fail(EBUSY, "listen", "%s is frozen", container->id);
    struct listener *listener = reserve(wanted.listener);
    if (listener == NULL)
        return -failure_last()->error;
    listener->container = container;
    error = begin(listener, &wanted);
    if (error < 0) {
        end(listener);
        return fail(-error, "listen", "%s", place_name(&wanted.place));
    }
    mpw_map(ok, 1);
    mpw_string(ok, "port");
    mpw_unsigned(ok, bound_port(listener));
    return 0;
}

/* ---- accept ---- */

struct accept_request {
    uint32_t listener, connection, input, output;
};

static const struct field accept_fields[] = {
    REQUEST_FIELDS,
    NEED(accept_request, listener, FIELD_U32),
    NEED(accept_request, connection, FIELD_U32),
    NEED(accept_request, input, FIELD_U32),
    NEED(accept_request, output, FIELD_U32),
};

static int take(struct listener *listener) {
    for (;;) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0 || (errno != EINTR && errno != ECONNABORTED))
            return fd < 0 ? -errno : fd;
    }
}

static int accept_one(struct listener *listener, const struct accept_request *wanted, bool *accepted) {
    int error = connection_check("accept", wanted->connection, wanted->input, wanted->output);
    if (error < 0)
        return error;
    int fd = take(listener);
    if (fd < 0 && fd != -EAGAIN)
        return fail(-fd, "accept", "listener %u", listener->id);
    *accepted = fd >= 0;
    if (fd < 0) {
        listener->told = false;
        return 0;
    }
    bool file = listener->parent_fd >= 0;
    if (!file)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return connection_begin(wanted->connection, fd, wanted->input, wanted->output, listener->container, file);
}

int op_accept(struct span request, struct mpw *ok) {
    struct mp mp = mp_over(request);
    struct accept_request wanted;
    bool accepted = false;
    int error = fields_decode(&mp, accept_fields, COUNT(accept_fields), &wanted);
    if (error < 0)
        return error;
    struct listener *listener = find(wanted.listener);
    if (listener == NULL)
        return fail(ENOENT, "accept", "listener %u", wanted.listener);
    error = accept_one(listener, &wanted, &accepted);
    if (error < 0)
        return error;
    mpw_map(ok, 1);
    mpw_string(ok, "accepted");
    mpw_bool(ok, accepted);
    return 0;
}

/* ---- unlisten ---- */

struct unlisten_request {
    uint32_t listener;
};

static const struct field unlisten_fields[] = {REQUEST_FIELDS, NEED(unlisten_request, listener, FIELD_U32)};

int op_unlisten(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct unlisten_request wanted;
    int error = fields_decode(&mp, unlisten_fields, COUNT(unlisten_fields), &wanted);
    if (error < 0)
        return error;
    struct listener *listener = find(wanted.listener);
    if (listener == NULL)
        return fail(ENOENT, "unlisten", "listener %u", wanted.listener);
    if (!listener->container->frozen)
        remove_file(listener);
    end(listener);
    return 0;
}
