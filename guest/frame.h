/* Frames: bytes to values and back, without I/O. Whatever the bytes are, nothing outside them is read. */
#pragma once

#include "util.h"
#include "wire.h"

struct frame {
    uint8_t type;
    uint32_t stream;
    uint64_t offset;     /* DATA, EOF and CREDIT */
    const uint8_t *body; /* SYNC: the nonce; CONTROL: the map; DATA: the bytes. Points into the parsed buffer. */
    uint32_t body_bytes;
};

/* Takes one frame, or a run of padding (type FRAME_PAD), off the front of `buffer`.
 * Returns how many bytes it took, 0 when the frame is not whole yet, -EPROTO when the wire allows no such bytes.
 * A header is judged as soon as it is there, so a caller never waits for a payload that is out of bounds. */
ssize_t frame_parse(const uint8_t *buffer, size_t length, struct frame *frame);

/* How many bytes to drop from `buffer` until a SYNC's header begins, or may begin. */
size_t frame_bytes_before_sync(const uint8_t *buffer, size_t length);

/* Writes the header (and the offset, for the types that have one) of a frame whose remaining body has
 * `body_bytes`. Returns the bytes written, at most FRAME_HEADER_BYTES + FRAME_OFFSET_BYTES.
 * The body and one FRAME_END byte follow. */
size_t frame_begin(uint8_t *out, enum frame_type type, uint32_t stream, uint64_t offset, uint32_t body_bytes);
