/* Logical streams: bytes with absolute offsets between the host and a descriptor of a process, and credit that
 * bounds what is in flight.
 *
 * The rule: an output stream keeps every byte until the host acknowledged it, and reads on only while that is less
 * than a window; an input stream acknowledges a byte when the process's pipe took it. No stream waits for another. */
#pragma once

#include "frame.h"
#include "ring.h"
#include "watch.h"

/* What is behind a stream's descriptor: a terminal's master has no end of its own in either direction; a socket
 * has both directions, each with an end of its own; datagrams stand in the stream each behind its length (u16, big
 * endian), and none is the end of them. All but pipes are duplicated, one descriptor for each direction. */
enum stream_kind { STREAM_PIPE, STREAM_TERMINAL, STREAM_SOCKET, STREAM_DATAGRAMS };

struct stream {
    struct watch watch;
    struct ring ring;
    struct stream *next_queued, *next_hashed, *next_owing;
    uint64_t sent;      /* output: offset behind what this session sent */
    uint64_t sent_most; /* output: the same over all sessions; no credit may exceed it */
    uint64_t credited;  /* input: what the host was last told is consumed */
    uint32_t id;
    int fd;
    enum stream_kind kind;
    bool used, input;
    bool ready;       /* the descriptor may have more to give, or room to take */
    bool ended;       /* no byte follows `ring.last` */
    bool queued;      /* waits for its turn to send frames */
    bool synced;      /* output: the host has said where it stands in this session */
    bool orphaned;    /* the process that it was made for has exited */
    bool discarding;  /* output: the host reads no more; input: the process does */
    bool credit_due, break_due, eof_due;
    bool owing;       /* waits for its credit in the list of streams_settle() */
    bool line_open;   /* input of a terminal: its last byte was no newline */
};

int streams_init(void);

/* Opens stream `id` over `fd`, which it owns from now on; NULL when all are in use. */
struct stream *stream_open_input(uint32_t id, int fd, enum stream_kind kind);
struct stream *stream_open_output(uint32_t id, int fd, enum stream_kind kind);

/* The stream in use with this id, or NULL; so also for id 0. */
struct stream *stream_find(uint32_t id);

/* Forgets the stream and what it holds. NULL is fine. */
void stream_release(struct stream *stream);

/* The process that the stream was made for has exited. NULL is fine. */
void stream_orphan(struct stream *stream);

/* A frame from the host: 0, or -EPROTO. Frames for unknown streams have crossed a `forget` and are ignored. */
int stream_frame(const struct frame *frame);

/* A new session begins: what was in flight is in flight no more. */
void streams_resync(void);

/* The host is gone: nothing is sent until the next session. */
void streams_disconnect(void);

/* Nothing comes from the host for now: streams whose reader has emptied their buffer say so. */
void streams_settle(void);

/* Writes the next frame that some stream wants to send, if it fits into `room`. Returns its bytes, or 0. */
size_t streams_next_frame(uint8_t *out, size_t room);

/* A frame that lies in a stream's own memory. */
struct lent_frame {
    uint8_t *bytes;
    size_t length;
    uint8_t before[FRAME_HEADER_BYTES + FRAME_OFFSET_BYTES], behind; /* what it has covered */
};

/* Frames the next bytes that are to be sent where they lie, if they are many in one piece: this saves a copy. Until
 * streams_take_back() nothing may be done with streams. */
bool streams_lend_frame(struct lent_frame *lent);
void streams_take_back(const struct lent_frame *lent);
