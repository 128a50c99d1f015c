#include "frame.h"

#include <string.h>

struct bounds {
    uint32_t least, most;
    bool stream, offset;
};

static const struct bounds bounds_of[] = {
    [FRAME_SYNC] = {NONCE_BYTES, NONCE_BYTES, false, false},
    [FRAME_CONTROL] = {1, MAX_CONTROL_BYTES, false, false},
    [FRAME_DATA] = {FRAME_OFFSET_BYTES + 1, FRAME_OFFSET_BYTES + MAX_DATA_BYTES, true, true},
    [FRAME_EOF] = {FRAME_OFFSET_BYTES, FRAME_OFFSET_BYTES, true, true},
    [FRAME_CREDIT] = {FRAME_OFFSET_BYTES, FRAME_OFFSET_BYTES, true, true},
    [FRAME_BREAK] = {0, 0, true, false},
};

static uint32_t get_u32(const uint8_t *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static size_t padding(const uint8_t *buffer, size_t length) {
    size_t zeros = 0;
    while (zeros < length && buffer[zeros] == 0)
        zeros++;
    return zeros;
}

static int check_header(const uint8_t *header) {
    uint8_t type = header[0];
    if (type == FRAME_PAD || type >= COUNT(bounds_of) || header[1] || header[2] || header[3])
        return -EPROTO;
    const struct bounds *bounds = &bounds_of[type];
    uint32_t stream = get_u32(header + 4), length = get_u32(header + 8);
    if ((stream != 0) != bounds->stream || length < bounds->least || length > bounds->most)
        return -EPROTO;
    return 0;
}

static void decode(const uint8_t *bytes, uint32_t payload_bytes, struct frame *frame) {
    const uint8_t *payload = bytes + FRAME_HEADER_BYTES;
    *frame = (struct frame){.type = bytes[0], .stream = get_u32(bytes + 4)};
    if (bounds_of[frame->type].offset) {
        memcpy(&frame->offset, payload, FRAME_OFFSET_BYTES);
        payload += FRAME_OFFSET_BYTES;
        payload_bytes -= FRAME_OFFSET_BYTES;
    }
    frame->body = payload;
    frame->body_bytes = payload_bytes;
}

ssize_t frame_parse(const uint8_t *buffer, size_t length, struct frame *frame) {
    size_t zeros = padding(buffer, length);
    if (zeros > 0) {
        *frame = (struct frame){.type = FRAME_PAD};
        return (ssize_t)zeros;
    }
    if (length < FRAME_HEADER_BYTES)
        return 0;
    if (check_header(buffer) < 0)
        return -EPROTO;
    uint32_t payload_bytes = get_u32(buffer + 8);
    size_t whole = (size_t)payload_bytes + FRAME_OVERHEAD_BYTES;
    if (length < whole)
        return 0;
    if (buffer[whole - 1] != FRAME_END)
        return -EPROTO;
    decode(buffer, payload_bytes, frame);
    return (ssize_t)whole;
}

size_t frame_bytes_before_sync(const uint8_t *buffer, size_t length) {
    static const uint8_t sync[FRAME_HEADER_BYTES] = {FRAME_SYNC, 0, 0, 0, 0, 0, 0, 0, NONCE_BYTES, 0, 0, 0};
    size_t at = 0;
    while (at < length) {
        const uint8_t *found = memchr(buffer + at, FRAME_SYNC, length - at);
        if (found == NULL)
            return length;
        at = (size_t)(found - buffer);
        if (memcmp(found, sync, MIN(length - at, sizeof(sync))) == 0)
            return at;
        at++;
    }
    return length;
}

size_t frame_begin(uint8_t *out, enum frame_type type, uint32_t stream, uint64_t offset, uint32_t body_bytes) {
    bool has_offset = bounds_of[type].offset;
    uint32_t payload_bytes = body_bytes + (has_offset ? FRAME_OFFSET_BYTES : 0);
    memset(out, 0, FRAME_HEADER_BYTES);
    out[0] = (uint8_t)type;
    memcpy(out + 4, &stream, sizeof(stream));
    memcpy(out + 8, &payload_bytes, sizeof(payload_bytes));
    if (!has_offset)
        return FRAME_HEADER_BYTES;
    memcpy(out + FRAME_HEADER_BYTES, &offset, FRAME_OFFSET_BYTES);
    return FRAME_HEADER_BYTES + FRAME_OFFSET_BYTES;
}
