#include "port.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "connection.h"
#include "control.h"
#include "freeze.h"
#include "hold.h"
#include "listener.h"
#include "stream.h"

/* The largest frame of data: where the host sends many, each is read whole, and its buffer is empty again. */
#define READ_BYTES (MAX_DATA_BYTES + FRAME_OFFSET_BYTES + FRAME_OVERHEAD_BYTES)
#define INPUT_BYTES (MAX_CONTROL_BYTES + FRAME_OVERHEAD_BYTES + READ_BYTES)
#define OUTPUT_BYTES (2 * MAX_DATA_BYTES)
#define ROUNDS_AT_ONCE 32
/* One answer of the largest size, the longest hello, and an exit of every process. */
#define CONTROL_BYTES (3u * MAX_CONTROL_BYTES)
/* With this much unsent, no further request is read. */
#define CONTROL_FULL_BYTES MAX_CONTROL_BYTES

static uint8_t input_bytes[INPUT_BYTES], control_bytes[CONTROL_BYTES], output_bytes[OUTPUT_BYTES];

static struct {
    struct watch watch, listening;
    int fd, listen_fd;
    bool persistent, readable, writable, session, gone;
    bool hung_up; /* a port without a host, as far as its driver has heard */
    uint8_t *input, *control, *output;
    size_t input_first, input_last;
    size_t control_first, control_last;
    size_t output_first, output_last;
} port = {.fd = -1, .listen_fd = -1, .input = input_bytes, .control = control_bytes, .output = output_bytes};

/* ---- sending ---- */

static size_t control_held(void) {
    return port.control_last - port.control_first;
}

static void drop_output(void) {
    port.control_first = port.control_last = port.output_first = port.output_last = 0;
}

bool port_send_control(const struct mpw *map) {
    if (map->overflow || map->length > MAX_CONTROL_BYTES)
        return false;
    if (!port.session)
        return true;
    if (control_held() == 0)
        port.control_first = port.control_last = 0;
    if (CONTROL_BYTES - port.control_last < map->length + FRAME_OVERHEAD_BYTES) {
        memmove(port.control, port.control + port.control_first, control_held());
        port.control_last -= port.control_first;
        port.control_first = 0;
    }
    uint8_t *at = port.control + port.control_last;
    at += frame_begin(at, FRAME_CONTROL, 0, 0, (uint32_t)map->length);
    memcpy(at, map->bytes, map->length);
    at[map->length] = FRAME_END;
    port.control_last += map->length + FRAME_OVERHEAD_BYTES;
    return true;
}

static void fill_output(void) {
    if (port.output_first == port.output_last)
        port.output_first = port.output_last = 0;
    size_t control = MIN(control_held(), OUTPUT_BYTES - port.output_last);
    memcpy(port.output + port.output_last, port.control + port.control_first, control);
    port.control_first += control;
    port.output_last += control;
    size_t length = 1;
    while (length > 0 && control_held() == 0) {
        length = streams_next_frame(port.output + port.output_last, OUTPUT_BYTES - port.output_last);
        port.output_last += length;
    }
}

/* What belongs to a session and ends with it. */
static void forget_session(void) {
    drop_output();
    freeze_end_all();
    listeners_end_all();
    connections_end_all();
}

static void lose_host(void) {
    hold_end();
    forget_session();
    streams_disconnect();
    port.input_first = port.input_last = 0;
    port.session = port.readable = port.writable = false;
    if (port.persistent)
        return; /* the port itself says when a host is there again */
    close_fd(&port.fd);
    port.gone = port.listen_fd < 0;
}

/* Writes what it can of `bytes`. Returns how many, -1 where the host is gone. */
static ssize_t write_some(const uint8_t *bytes, size_t length) {
    size_t done = 0;
    while (done < length) {
        ssize_t sent = write(port.fd, bytes + done, length - done);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            return -1;
        if (sent <= 0) {
            port.writable = false;
            break;
        }
        done += (size_t)sent;
    }
    return (ssize_t)done;
}

/* Sends a frame from where its bytes lie. What does not go is kept as any output. Returns false where there is none,
 * or the host is gone. */
static bool send_lent_frame(void) {
    struct lent_frame lent;
    if (port.output_first < port.output_last || control_held() > 0 || !streams_lend_frame(&lent))
        return false;
    ssize_t sent = write_some(lent.bytes, lent.length);
    size_t rest = sent < 0 ? 0 : lent.length - (size_t)sent;
    memcpy(port.output, lent.bytes + lent.length - rest, rest);
    port.output_first = 0;
    port.output_last = rest;
    streams_take_back(&lent);
    if (sent < 0)
        lose_host();
    return sent >= 0;
}

static bool flush(void) {
    bool progress = false;
    while (port.writable && port.session) {
        if (send_lent_frame()) {
            progress = true;
            continue;
        }
        if (!port.session)
            break;
        fill_output();
        if (port.output_first == port.output_last)
            break;
        ssize_t sent = write_some(port.output + port.output_first, port.output_last - port.output_first);
        if (sent < 0) {
            lose_host();
            port.writable = false;
            break;
        }
        port.output_first += (size_t)sent;
        progress |= sent > 0;
    }
    return progress;
}

/* ---- receiving ---- */

/* A port's driver hears of a host that went or came by another way than its bytes, and maybe later. */
static bool driver_says_hung_up(void) {
    struct pollfd poll_fd = {.fd = port.fd};
    return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & POLLHUP);
}

static void begin_session(const uint8_t *nonce) {
    port.hung_up = driver_says_hung_up();
    forget_session();
    streams_resync();
    port.session = true;
    frame_begin(port.control, FRAME_SYNC, 0, 0, NONCE_BYTES);
    memcpy(port.control + FRAME_HEADER_BYTES, nonce, NONCE_BYTES);
    port.control[FRAME_HEADER_BYTES + NONCE_BYTES] = FRAME_END;
    port.control_last = FRAME_OVERHEAD_BYTES + NONCE_BYTES;
    control_hello();
}

static int take_frame(const struct frame *frame) {
    switch (frame->type) {
    case FRAME_PAD:
        return 0;
    case FRAME_SYNC:
        begin_session(frame->body);
        return 0;
    case FRAME_CONTROL:
        return control_request(frame->body, frame->body_bytes);
    default:
        return stream_frame(frame);
    }
}

static void end_session(const char *why) {
    say("protocol error: %s; waiting for the next SYNC", why);
    port.session = false;
    hold_end();
    forget_session();
    streams_disconnect();
}

/* Takes what is whole out of the input; outside a session, only from the next SYNC on. */
static void take_frames(void) {
    while (port.input_first < port.input_last && control_held() < CONTROL_FULL_BYTES) {
        const uint8_t *at = port.input + port.input_first;
        size_t length = port.input_last - port.input_first;
        struct frame frame;
        if (!port.session) {
            size_t dropped = frame_bytes_before_sync(at, length);
            port.input_first += dropped;
            at += dropped;
            length -= dropped;
        }
        ssize_t taken = frame_parse(at, length, &frame);
        if (taken == 0)
            return;
        if (taken < 0) {
            if (port.session)
                end_session("not a frame");
            port.input_first++;
            continue;
        }
        port.input_first += (size_t)taken;
        if (take_frame(&frame) < 0)
            end_session(frame.type == FRAME_CONTROL ? "not a request" : "a stream's offset or window");
    }
}

static void make_room(void) {
    if (port.input_first == port.input_last)
        port.input_first = port.input_last = 0;
    if (port.input_first == 0 || INPUT_BYTES - port.input_last >= READ_BYTES)
        return;
    memmove(port.input, port.input + port.input_first, port.input_last - port.input_first);
    port.input_last -= port.input_first;
    port.input_first = 0;
}

/* Reads until there is nothing more, or READ_BYTES: a virtio-serial port gives no more than a page at a time. */
static bool receive(void) {
    if (!port.readable || control_held() >= CONTROL_FULL_BYTES)
        return false;
    make_room();
    size_t room = MIN((size_t)READ_BYTES, INPUT_BYTES - port.input_last), taken = 0;
    while (taken < room) {
        ssize_t got = read(port.fd, port.input + port.input_last, room - taken);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 && (got == 0 || errno != EAGAIN) && taken > 0)
            break; /* first what the host said before it went */
        if (got <= 0) {
            port.readable = false;
            /* A port has no end: it reads as ended while its driver knows of no host. */
            if (got == 0 ? !port.persistent : errno != EAGAIN)
                lose_host();
            break;
        }
        port.input_last += (size_t)got;
        taken += (size_t)got;
    }
    return taken > 0;
}

bool port_work(void) {
    for (int round = 0; round < ROUNDS_AT_ONCE; round++) {
        bool progress = receive();
        take_frames();
        progress |= flush();
        if (progress)
            continue;
        /* Where a frame has begun to arrive, its rest is on its way. */
        if (port.input_first == port.input_last)
            streams_settle();
        if (!flush())
            return false;
    }
    return true;
}

bool port_gone(void) {
    return port.gone;
}

/* ---- hosts that come ---- */

static void port_ready(struct watch *watch, uint32_t events) {
    (void)watch;
    bool hung_up = (events & EPOLLHUP) != 0;
    if (port.persistent && hung_up && !port.hung_up)
        lose_host();
    port.hung_up = hung_up;
    /* Each write that a virtio-serial port finished is told too: no reason to try a read. */
    port.readable |= (events & ~(uint32_t)EPOLLOUT) != 0;
    port.writable |= (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
    port.readable &= port.fd >= 0;
}

static int take_host(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    port.fd = fd;
    port.watch.ready = port_ready;
    port.readable = port.writable = true;
    return watch_add(fd, &port.watch);
}

static void host_comes(struct watch *watch, uint32_t events) {
    (void)watch, (void)events;
    int fd;
    while ((fd = accept4(port.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        if (port.fd >= 0)
            lose_host(); /* the newest host is the one that means it */
        if (take_host(fd) < 0)
            lose_host();
    }
}

int port_serve(int fd, bool persistent) {
    int listening = 0;
    socklen_t length = sizeof(listening);
    port.persistent = persistent;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0 || !listening)
        return take_host(fd);
    port.listen_fd = fd;
    port.listening.ready = host_comes;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    return watch_add(fd, &port.listening);
}
