/* libFuzzer's way in: any bytes as a stream of frames, any control payload as msgpack and as a request's fields.
 * Run by tests/guest/test_c.py for a short while; for longer: see there for the command. */
#include <string.h>

#include "../fields.h"
#include "../frame.h"

struct request {
    char *text;
    uint64_t number;
    int32_t sign;
    struct span bytes, list;
    struct strings words;
};

static const struct field fields[] = {
    REQUEST_FIELDS,
    MAY(request, text, FIELD_STRING),   MAY(request, number, FIELD_U64),    MAY(request, sign, FIELD_I32),
    MAY(request, bytes, FIELD_BYTES),   MAY(request, list, FIELD_VALUE),    MAY(request, words, FIELD_STRINGS),
};

static int take_item(void *item, void *context) {
    (void)item, (void)context;
    return 0;
}

static void decode(const uint8_t *bytes, size_t length) {
    struct mp mp = {bytes, bytes + length};
    struct request request = {0};
    arena_reset();
    if (mp_skip(&mp, MSGPACK_DEPTH) < 0)
        return;
    mp = (struct mp){bytes, bytes + length};
    if (fields_decode(&mp, fields, COUNT(fields), &request) == 0)
        fields_each(request.list, fields, COUNT(fields), sizeof(request), take_item, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    decode(bytes, length);
    while (length > 0) {
        struct frame frame;
        ssize_t taken = frame_parse(bytes, length, &frame);
        if (taken > 0 && (size_t)taken > length)
            __builtin_trap();
        if (taken > 0 && frame.type == FRAME_CONTROL)
            decode(frame.body, frame.body_bytes);
        /* As the agent does: from an offence on, the next SYNC. */
        size_t dropped = taken > 0 ? (size_t)taken : 1 + frame_bytes_before_sync(bytes + 1, length - 1);
        if (taken == 0)
            break;
        bytes += dropped;
        length -= dropped;
    }
    return 0;
}
