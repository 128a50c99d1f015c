#include "connection.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "address.h"
#include "path.h"
#include "port.h"
#include "stream.h"

struct connection {
    struct watch watch;
    const struct container *container;
    uint32_t id, input, output;
    int fd; /* while it is being connected; then its streams have duplicates */
    enum stream_kind kind;
    bool used, holds_root;
};

static struct connection connections[MAX_CONNECTIONS];

/* ---- the table ---- */

static struct connection *find(uint32_t id) {
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        if (connections[i].used && connections[i].id == id)
            return &connections[i];
    return NULL;
}

static struct connection *reserve(const char *step, uint32_t id) {
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
        if (connections[i].used)
            continue;
        connections[i] = (struct connection){.id = id, .fd = -1, .used = true, .kind = STREAM_SOCKET};
        return &connections[i];
    }
    fail(EMFILE, step, "more than %u connections", MAX_CONNECTIONS);
    return NULL;
}

static void end(struct connection *connection) {
    stream_release(stream_find(connection->input));
    stream_release(stream_find(connection->output));
    close_fd(&connection->fd);
    connection->used = false;
}

int connection_check(const char *step, uint32_t id, uint32_t input, uint32_t output) {
    if (input == 0 || output == 0 || input == output)
        return fail(EINVAL, step, "streams %u and %u", input, output);
    if (stream_find(input) != NULL || stream_find(output) != NULL)
        return fail(EEXIST, step, "stream %u", stream_find(input) != NULL ? input : output);
    return find(id) != NULL ? fail(EEXIST, step, "connection %u", id) : 0;
}

static bool is_open(uint32_t id) {
    const struct stream *stream = stream_find(id);
    return stream != NULL && stream->fd >= 0;
}

bool connections_hold(const struct container *container) {
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
        const struct connection *each = &connections[i];
        if (each->used && each->holds_root && each->container == container &&
            (is_open(each->input) || is_open(each->output)))
            return true;
    }
    return false;
}

void connections_end_of(const struct container *container) {
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        if (connections[i].used && connections[i].holds_root && connections[i].container == container)
            end(&connections[i]);
}

void connections_end_all(void) {
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        if (connections[i].used)
            end(&connections[i]);
}

/* ---- from a connected socket to streams ---- */

/* Takes connection->fd; what was opened before a failure is the caller's to end. */
static int open_streams(struct connection *connection) {
    int input_fd = fcntl(connection->fd, F_DUPFD_CLOEXEC, 3);
    if (input_fd < 0)
        return -errno;
    if (stream_open_input(connection->input, input_fd, connection->kind) == NULL) {
        close_fd(&input_fd);
        return -ENOSPC;
    }
    int output_fd = steal_fd(&connection->fd);
    if (stream_open_output(connection->output, output_fd, connection->kind) == NULL) {
        close_fd(&output_fd);
        return -ENOSPC;
    }
    /* Nothing of it came in an earlier session. */
    stream_find(connection->output)->synced = true;
    return 0;
}

int connection_begin(uint32_t id, int fd, uint32_t input, uint32_t output, const struct container *container,
                     bool holds_root) {
    struct connection *connection = reserve("accept", id);
    if (connection == NULL) {
        close_fd(&fd);
        return -failure_last()->error;
    }
    connection->fd = fd;
    connection->input = input;
    connection->output = output;
    connection->container = container;
    connection->holds_root = holds_root;
    int error = open_streams(connection);
    if (error == 0)
        return 0;
    end(connection);
    return fail(-error, "accept", "connection %u", id);
}

/* ---- connecting ---- */

static void tell(uint32_t id, int error) {
    uint8_t event[64];
    struct mpw w = {.bytes = event, .room = sizeof(event)};
    mpw_map(&w, 3);
    mpw_string(&w, "ev");
    mpw_string(&w, "connected");
    mpw_string(&w, "connection");
    mpw_unsigned(&w, id);
    mpw_string(&w, "errno");
    mpw_unsigned(&w, (uint64_t)error);
    port_send_control(&w);
}

/* It is connected, or never will be. */
static void conclude(struct connection *connection, int error) {
    if (error == 0)
        error = -open_streams(connection);
    if (error != 0)
        end(connection);
    tell(connection->id, error);
}

static void connection_ready(struct watch *watch, uint32_t events) {
    struct connection *connection = (struct connection *)watch;
    int error = 0;
    socklen_t length = sizeof(error);
    if (!connection->used || connection->fd < 0 || !(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        return;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    watch_remove(connection->fd);
    conclude(connection, error);
}

/* A socket that is connected, or is being. Returns 0, or the errno of a place that takes no connection. */
static int reach(struct connection *connection, const union address *address, socklen_t length) {
    int type = connection->kind == STREAM_DATAGRAMS ? SOCK_DGRAM : SOCK_STREAM;
    connection->fd = socket(address->any.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connection->fd < 0)
        return errno;
    if (address->any.sa_family != AF_UNIX && type == SOCK_STREAM)
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return connect(connection->fd, &address->any, length) < 0 ? errno : 0;
}

static int reach_path(struct connection *connection, const struct container *container, const char *path) {
    union address address;
    struct stat status;
    _cleanup_fd_ int file_fd = path_open(container->kept[ROOT_FD], path, O_PATH);
    if (file_fd < 0)
        return -file_fd;
    if (fstat(file_fd, &status) < 0 || !S_ISSOCK(status.st_mode))
        return ENOTSOCK;
    int length = address_of_file(file_fd, &address);
    return reach(connection, &address, (socklen_t)length);
}

struct connect_request {
    struct place place;
    uint32_t connection, input, output;
    bool datagrams;
};

static const struct field connect_fields[] = {
    REQUEST_FIELDS,
    PLACE_FIELDS(connect_request),
    NEED(connect_request, connection, FIELD_U32),
    NEED(connect_request, input, FIELD_U32),
    NEED(connect_request, output, FIELD_U32),
    MAY(connect_request, datagrams, FIELD_BOOL),
};

static int begin_connecting(struct connection *connection, const struct connect_request *wanted,
                            const struct container *container) {
    union address address;
    if (wanted->datagrams)
        connection->kind = STREAM_DATAGRAMS;
    if (wanted->datagrams && wanted->place.path[0] != '\0')
        return EPROTOTYPE;
    if (wanted->place.path[0] != '\0')
        return reach_path(connection, container, wanted->place.path);
    int length = address_of_port("connect", &wanted->place, &address);
    return length < 0 ? -length : reach(connection, &address, (socklen_t)length);
}

int op_connect(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct connect_request wanted = {.place = PLACE_DEFAULT};
    int error = fields_decode(&mp, connect_fields, COUNT(connect_fields), &wanted);
    if (error < 0)
        return error;
    const struct container *container = place_check("connect", &wanted.place);
    if (container == NULL)
        return -failure_last()->error;
    error = connection_check("connect", wanted.connection, wanted.input, wanted.output);
    if (error < 0)
        return error;
    struct connection *connection = reserve("connect", wanted.connection);
    if (connection == NULL)
        return -failure_last()->error;
    connection->input = wanted.input;
    connection->output = wanted.output;
    connection->container = container;
    error = begin_connecting(connection, &wanted, container);
    if (error == EINPROGRESS) {
        connection->watch.ready = connection_ready;
        return watch_add(connection->fd, &connection->watch);
    }
    conclude(connection, error);
    return 0;
}

/* ---- the end ---- */

struct hangup_request {
    uint32_t connection;
};

static const struct field hangup_fields[] = {REQUEST_FIELDS, NEED(hangup_request, connection, FIELD_U32)};

int op_hangup(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct hangup_request wanted;
    int error = fields_decode(&mp, hangup_fields, COUNT(hangup_fields), &wanted);
    if (error < 0)
        return error;
    struct connection *connection = find(wanted.connection);
    if (connection == NULL)
        return fail(ENOENT, "hangup", "connection %u", wanted.connection);
    end(connection);
    return 0;
}
