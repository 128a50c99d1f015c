#include "stream.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <termios.h>

#define BUCKETS 1024u
#define SMALLEST_DATA_FRAME 512u
#define SMALLEST_LENT_BYTES 16384u
/* A virtio-serial port takes 32 KiB at a time: two times are a frame. */
#define LENT_BYTES (65536u - FRAME_OFFSET_BYTES - FRAME_OVERHEAD_BYTES)

static struct stream pool[MAX_STREAMS];
static size_t pool_used; /* slots from here on were never used */
static struct stream *buckets[BUCKETS];
static struct stream *queue_head, *queue_tail;
static struct stream *owing_head;
static uint8_t scratch[MAX_DATA_BYTES];

#define LENGTH_BYTES 2u
#define MOST_DATAGRAM_BYTES (LENGTH_BYTES + 65535u)

static void stream_ready(struct watch *watch, uint32_t events);

int streams_init(void) {
    return rings_reserve(MAX_STREAMS);
}

/* ---- the table ---- */

static struct stream *free_slot(void) {
    for (size_t i = 0; i < pool_used; i++)
        if (!pool[i].used)
            return &pool[i];
    return pool_used < MAX_STREAMS ? &pool[pool_used++] : NULL;
}

struct stream *stream_find(uint32_t id) {
    struct stream *stream = buckets[id % BUCKETS];
    while (stream != NULL && stream->id != id)
        stream = stream->next_hashed;
    return stream;
}

static struct stream *open_stream(uint32_t id, int fd, bool input, enum stream_kind kind) {
    struct stream *stream = free_slot();
    if (stream == NULL)
        return NULL;
    /* A slot that was given back may still wait in the queue: that stays true of its next user. */
    *stream = (struct stream){
        .watch.ready = stream_ready, .id = id, .fd = fd, .used = true, .input = input, .kind = kind,
        .synced = true, .queued = stream->queued, .next_queued = stream->next_queued,
        .owing = stream->owing, .next_owing = stream->next_owing,
        .next_hashed = buckets[id % BUCKETS],
    };
    ring_open(&stream->ring, (size_t)(stream - pool));
    buckets[id % BUCKETS] = stream;
    if (watch_add(fd, &stream->watch) < 0)
        say("cannot watch stream %u: errno %d", id, errno);
    return stream;
}

struct stream *stream_open_input(uint32_t id, int fd, enum stream_kind kind) {
    return open_stream(id, fd, true, kind);
}

struct stream *stream_open_output(uint32_t id, int fd, enum stream_kind kind) {
    return open_stream(id, fd, false, kind);
}

/* What was duplicated would be watched on, for whoever has the slot next, until its last duplicate is closed. */
static void let_go(struct stream *stream) {
    if (stream->fd >= 0 && stream->kind != STREAM_PIPE)
        watch_remove(stream->fd);
    close_fd(&stream->fd);
}

void stream_release(struct stream *stream) {
    if (stream == NULL)
        return;
    struct stream **link = &buckets[stream->id % BUCKETS];
    while (*link != stream)
        link = &(*link)->next_hashed;
    *link = stream->next_hashed;
    let_go(stream);
    ring_close(&stream->ring);
    stream->used = false;
}

/* ---- the queue of those that have frames to send ---- */

static bool has_data(const struct stream *stream) {
    return !stream->input && stream->synced && stream->sent < stream->ring.last;
}

static bool has_frame(const struct stream *stream) {
    if (!stream->used)
        return false;
    return stream->credit_due || stream->break_due || has_data(stream) || (stream->eof_due && stream->synced);
}

static void enqueue(struct stream *stream) {
    if (stream->queued || !has_frame(stream))
        return;
    stream->queued = true;
    stream->next_queued = NULL;
    if (queue_head == NULL)
        queue_head = stream;
    else
        queue_tail->next_queued = stream;
    queue_tail = stream;
}

static struct stream *dequeue(void) {
    struct stream *stream = queue_head;
    queue_head = stream->next_queued;
    stream->queued = false;
    return stream;
}

/* ---- output: from the process to the host ---- */

static void end_output(struct stream *stream) {
    let_go(stream);
    stream->ended = true;
    stream->eof_due = !stream->discarding;
}

/* Whether a socket for datagrams has only told what became of an earlier one (udp(7), "Error handling"). */
static bool is_past(int error) {
    return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EMSGSIZE;
}

/* One datagram, behind its length. */
static ssize_t read_datagram(struct stream *stream) {
    ssize_t got = recv(stream->fd, scratch + LENGTH_BYTES, sizeof(scratch) - LENGTH_BYTES, 0);
    if (got < 0 && is_past(errno))
        errno = EINTR;
    if (got < 0)
        return got;
    scratch[0] = (uint8_t)(got >> 8);
    scratch[1] = (uint8_t)got;
    ring_append(&stream->ring, scratch, (size_t)got + LENGTH_BYTES);
    return got + (ssize_t)LENGTH_BYTES;
}

static bool has_room(const struct stream *stream) {
    size_t needed = stream->kind == STREAM_DATAGRAMS ? MOST_DATAGRAM_BYTES : 1;
    return ring_held(&stream->ring) + needed <= WINDOW_BYTES;
}

static ssize_t read_some(struct stream *stream) {
    struct iovec pieces[2];
    if (stream->kind == STREAM_DATAGRAMS)
        return read_datagram(stream);
    if (stream->discarding)
        return read(stream->fd, scratch, sizeof(scratch));
    int count = ring_space(&stream->ring, pieces);
    ssize_t got = readv(stream->fd, pieces, count);
    if (got > 0)
        ring_added(&stream->ring, (size_t)got);
    return got;
}

static void pull(struct stream *stream) {
    while (stream->fd >= 0 && stream->ready && has_room(stream)) {
        ssize_t got = read_some(stream);
        if (got > 0 || (got < 0 && errno == EINTR))
            continue;
        stream->ready = false;
        /* A terminal whose slave nobody has open may be opened again while its process lives. */
        if (got == 0 || (errno != EAGAIN && !(stream->kind == STREAM_TERMINAL && errno == EIO && !stream->orphaned)))
            end_output(stream);
    }
    enqueue(stream);
}

static int take_credit(struct stream *stream, uint64_t consumed) {
    if (consumed > stream->sent_most)
        return -EPROTO;
    if (!stream->synced) {
        stream->synced = true;
        stream->sent = consumed > stream->ring.first ? consumed : stream->ring.first;
    }
    ring_drop(&stream->ring, consumed);
    pull(stream);
    return 0;
}

static void stop_output(struct stream *stream) {
    stream->discarding = true;
    stream->eof_due = false;
    stream->sent = stream->ring.last;
    ring_drop(&stream->ring, stream->ring.last);
    if (stream->kind == STREAM_SOCKET)
        shutdown(stream->fd, SHUT_RD);
    if (stream->kind != STREAM_TERMINAL)
        let_go(stream); /* the writer gets SIGPIPE */
    pull(stream);
}

/* ---- input: from the host to the process ---- */

/* Each credit is a write to the host, so half a window has to be worth one; less than that, once nothing more comes
 * for now. */
static void owe_credit(struct stream *stream) {
    uint64_t owed = stream->ring.first - stream->credited;
    if (owed >= WINDOW_BYTES / 2 || (owed > 0 && stream->ended))
        stream->credit_due = true;
    if (owed == 0 || stream->credit_due || stream->owing)
        return;
    stream->owing = true;
    stream->next_owing = owing_head;
    owing_head = stream;
}

void streams_settle(void) {
    while (owing_head != NULL) {
        struct stream *stream = owing_head;
        owing_head = stream->next_owing;
        stream->owing = false;
        if (!stream->used || !stream->input || stream->credit_due)
            continue;
        stream->credit_due = stream->ring.first > stream->credited && ring_held(&stream->ring) == 0;
        enqueue(stream);
    }
}

static void break_input(struct stream *stream) {
    stream->discarding = stream->break_due = true;
    ring_drop(&stream->ring, stream->ring.last);
    let_go(stream);
}

/* A terminal's reader sees the end of its input as a pipe's does: by VEOF, where it reads lines at all. */
static void type_end(struct stream *stream) {
    struct termios modes;
    if (tcgetattr(stream->fd, &modes) < 0 || !(modes.c_lflag & ICANON))
        return;
    char end[2] = {(char)modes.c_cc[VEOF], (char)modes.c_cc[VEOF]};
    /* The first only ends the open line; where the terminal takes no more, nobody reads it either. */
    ssize_t ignored = write(stream->fd, end, stream->line_open ? 2 : 1);
    (void)ignored;
}

static void finish_input(struct stream *stream) {
    if (stream->kind == STREAM_TERMINAL)
        type_end(stream);
    if (stream->kind == STREAM_SOCKET)
        shutdown(stream->fd, SHUT_WR);
    let_go(stream);
}

static ssize_t write_some(struct stream *stream, const uint8_t *bytes, size_t count) {
    while (stream->ready) {
        ssize_t took = write(stream->fd, bytes, count);
        if (took > 0) {
            stream->line_open = bytes[took - 1] != '\n';
            return took;
        }
        if (took < 0 && errno == EINTR)
            continue;
        stream->ready = false;
        if (took < 0 && errno != EAGAIN)
            break_input(stream);
    }
    return 0;
}

static void copy_out(const struct ring *ring, uint64_t offset, size_t count, uint8_t *out) {
    struct iovec pieces[2];
    int filled = ring_bytes(ring, offset, count, pieces);
    for (int i = 0; i < filled; i++) {
        memcpy(out, pieces[i].iov_base, pieces[i].iov_len);
        out += pieces[i].iov_len;
    }
}

/* What became of an earlier datagram is told instead of sending this one, once. */
static ssize_t send_datagram(const struct stream *stream, size_t length) {
    ssize_t sent = send(stream->fd, scratch, length, 0);
    return sent < 0 && is_past(errno) ? send(stream->fd, scratch, length, 0) : sent;
}

/* Every datagram that is here whole. One that its socket refuses is lost, as datagrams are. */
static void push_datagrams(struct stream *stream) {
    struct ring *ring = &stream->ring;
    while (stream->fd >= 0 && stream->ready && ring_held(ring) >= LENGTH_BYTES) {
        uint8_t head[LENGTH_BYTES];
        copy_out(ring, ring->first, LENGTH_BYTES, head);
        size_t length = (size_t)head[0] << 8 | head[1];
        if (ring_held(ring) < LENGTH_BYTES + length)
            break;
        copy_out(ring, ring->first + LENGTH_BYTES, length, scratch);
        stream->ready = send_datagram(stream, length) >= 0 || errno != EAGAIN;
        if (stream->ready)
            ring_drop(ring, ring->first + LENGTH_BYTES + length);
    }
    if (stream->ended) /* the rest is no datagram, nor ever will be */
        ring_drop(ring, ring->last);
}

static void push(struct stream *stream) {
    if (stream->kind == STREAM_DATAGRAMS)
        push_datagrams(stream);
    while (stream->kind != STREAM_DATAGRAMS && stream->fd >= 0 && stream->ready && ring_held(&stream->ring) > 0) {
        struct iovec pieces[2];
        ring_bytes(&stream->ring, stream->ring.first, WINDOW_BYTES, pieces);
        ssize_t took = write_some(stream, pieces[0].iov_base, pieces[0].iov_len);
        if (took > 0)
            ring_drop(&stream->ring, stream->ring.first + (uint64_t)took);
    }
    if (stream->fd >= 0 && stream->ended && ring_held(&stream->ring) == 0)
        finish_input(stream);
    owe_credit(stream);
    enqueue(stream);
}

static int take_data(struct stream *stream, uint64_t offset, const uint8_t *bytes, uint32_t count) {
    struct ring *ring = &stream->ring;
    if (offset > ring->last || stream->ended)
        return -EPROTO;
    if (offset + count <= ring->last)
        return 0;
    uint64_t known = ring->last - offset;
    bytes += known;
    count -= (uint32_t)known;
    if (ring->last + count > stream->credited + WINDOW_BYTES)
        return -EPROTO;
    if (ring_held(ring) == 0 && stream->fd >= 0 && stream->kind != STREAM_DATAGRAMS) {
        size_t took = (size_t)write_some(stream, bytes, count);
        ring->first = ring->last += took;
        bytes += took;
        count -= (uint32_t)took;
    }
    if (stream->discarding) {
        ring->first = ring->last += count;
        stream->break_due = true;
    } else {
        ring_append(ring, bytes, count);
    }
    push(stream);
    return 0;
}

static int take_end(struct stream *stream, uint64_t offset) {
    if (offset != stream->ring.last)
        return -EPROTO;
    if (!stream->ended) {
        stream->ended = true;
        push(stream);
    }
    return 0;
}

/* ---- both ---- */

int stream_frame(const struct frame *frame) {
    struct stream *stream = stream_find(frame->stream);
    if (stream == NULL)
        return 0;
    if (stream->input != (frame->type == FRAME_DATA || frame->type == FRAME_EOF))
        return -EPROTO;
    switch (frame->type) {
    case FRAME_DATA:
        return take_data(stream, frame->offset, frame->body, frame->body_bytes);
    case FRAME_EOF:
        return take_end(stream, frame->offset);
    case FRAME_CREDIT:
        return take_credit(stream, frame->offset);
    default:
        stop_output(stream);
        return 0;
    }
}

static void stream_ready(struct watch *watch, uint32_t events) {
    struct stream *stream = (struct stream *)watch;
    if (!stream->used || stream->fd < 0)
        return;
    stream->ready = true;
    if (!stream->input) {
        pull(stream);
        return;
    }
    /* A pipe whose last reader is gone says EPOLLERR, before anybody writes to it. */
    bool tells = stream->kind == STREAM_PIPE || stream->kind == STREAM_SOCKET;
    if (tells && (events & (EPOLLERR | EPOLLHUP)))
        break_input(stream);
    push(stream);
}

void stream_orphan(struct stream *stream) {
    if (stream == NULL || stream->input)
        return;
    stream->orphaned = stream->ready = true;
    pull(stream);
}

void streams_disconnect(void) {
    while (queue_head != NULL)
        dequeue();
    for (size_t i = 0; i < pool_used; i++)
        pool[i].synced = false;
}

void streams_resync(void) {
    streams_disconnect();
    for (size_t i = 0; i < pool_used; i++) {
        struct stream *stream = &pool[i];
        if (stream->input)
            stream->credit_due = true;
        if (stream->input && stream->discarding)
            stream->break_due = true;
        if (!stream->input && stream->ended && !stream->discarding)
            stream->eof_due = true;
        enqueue(stream);
    }
}

static void note_sent(struct stream *stream, size_t count) {
    stream->sent += count;
    if (stream->sent > stream->sent_most)
        stream->sent_most = stream->sent;
}

static size_t put_data(struct stream *stream, uint8_t *out, size_t room) {
    size_t header = FRAME_HEADER_BYTES + FRAME_OFFSET_BYTES;
    size_t limit = MIN((size_t)MAX_DATA_BYTES, room - header - FRAME_END_BYTES);
    size_t body = MIN(limit, stream->ring.last - stream->sent);
    struct iovec pieces[2];
    int count = ring_bytes(&stream->ring, stream->sent, body, pieces);
    frame_begin(out, FRAME_DATA, stream->id, stream->sent, (uint32_t)body);
    for (int i = 0; i < count; i++) {
        memcpy(out + header, pieces[i].iov_base, pieces[i].iov_len);
        header += pieces[i].iov_len;
    }
    note_sent(stream, body);
    return header;
}

static size_t put_frame(struct stream *stream, uint8_t *out, size_t room) {
    if (stream->credit_due) {
        stream->credit_due = false;
        stream->credited = stream->ring.first;
        return frame_begin(out, FRAME_CREDIT, stream->id, stream->credited, 0);
    }
    if (stream->break_due) {
        stream->break_due = false;
        return frame_begin(out, FRAME_BREAK, stream->id, 0, 0);
    }
    if (has_data(stream))
        return put_data(stream, out, room);
    stream->eof_due = false;
    return frame_begin(out, FRAME_EOF, stream->id, stream->ring.last, 0);
}

size_t streams_next_frame(uint8_t *out, size_t room) {
    while (queue_head != NULL && room >= SMALLEST_DATA_FRAME) {
        struct stream *stream = dequeue();
        if (!has_frame(stream))
            continue;
        size_t length = put_frame(stream, out, room);
        out[length++] = FRAME_END;
        enqueue(stream);
        return length;
    }
    return 0;
}

bool streams_lend_frame(struct lent_frame *lent) {
    struct stream *stream = queue_head;
    struct iovec pieces[2];
    if (stream == NULL || !stream->used || stream->break_due || !has_data(stream))
        return false;
    ring_bytes(&stream->ring, stream->sent, LENT_BYTES, pieces);
    size_t body = pieces[0].iov_len;
    if (body < SMALLEST_LENT_BYTES)
        return false;
    dequeue();
    lent->bytes = (uint8_t *)pieces[0].iov_base - sizeof(lent->before);
    lent->length = sizeof(lent->before) + body + FRAME_END_BYTES;
    memcpy(lent->before, lent->bytes, sizeof(lent->before));
    lent->behind = lent->bytes[lent->length - 1];
    frame_begin(lent->bytes, FRAME_DATA, stream->id, stream->sent, (uint32_t)body);
    lent->bytes[lent->length - 1] = FRAME_END;
    note_sent(stream, body);
    enqueue(stream);
    return true;
}

void streams_take_back(const struct lent_frame *lent) {
    memcpy(lent->bytes, lent->before, sizeof(lent->before));
    lent->bytes[lent->length - 1] = lent->behind;
}
