/* The frame parser: what it takes, what it refuses, and that it never reads past what it was given. */
#include <string.h>

#include "../frame.h"
#include "check.h"

static size_t make(uint8_t *out, enum frame_type type, uint32_t stream, uint64_t offset, const char *body) {
    size_t length = frame_begin(out, type, stream, offset, (uint32_t)strlen(body));
    memcpy(out + length, body, strlen(body));
    length += strlen(body);
    out[length++] = FRAME_END;
    return length;
}

/* Parses a copy on the heap of exactly this length, so that the sanitizer sees a byte too many. */
static ssize_t parse(const uint8_t *bytes, size_t length, struct frame *frame) {
    uint8_t *copy = malloc(length > 0 ? length : 1);
    memcpy(copy, bytes, length);
    ssize_t taken = frame_parse(copy, length, frame);
    free(copy);
    return taken;
}

static void every_type_comes_back_as_it_was_made(void) {
    static const struct {
        enum frame_type type;
        uint32_t stream;
        uint64_t offset;
        const char *body;
    } cases[] = {
        {FRAME_SYNC, 0, 0, "0123456789abcdef"}, {FRAME_CONTROL, 0, 0, "x"}, {FRAME_DATA, 7, 1ull << 40, "bytes"},
        {FRAME_EOF, 0xffffffff, 9, ""},         {FRAME_CREDIT, 1, 0, ""},   {FRAME_BREAK, 2, 0, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t bytes[64];
        struct frame frame;
        size_t length = make(bytes, cases[i].type, cases[i].stream, cases[i].offset, cases[i].body);
        for (size_t part = 0; part < length; part++)
            CHECK(parse(bytes, part, &frame) == 0);
        CHECK(frame_parse(bytes, length, &frame) == (ssize_t)length);
        CHECK(frame.type == cases[i].type && frame.stream == cases[i].stream && frame.offset == cases[i].offset);
        CHECK(frame.body_bytes == strlen(cases[i].body));
        CHECK(memcmp(frame.body, cases[i].body, frame.body_bytes) == 0);
    }
}

static void padding_is_taken_in_one_run(void) {
    uint8_t bytes[8] = {0, 0, 0, 0, 0, FRAME_BREAK};
    struct frame frame;
    CHECK(parse(bytes, 6, &frame) == 5 && frame.type == FRAME_PAD);
    CHECK(parse(bytes, 5, &frame) == 5);
}

static void a_header_out_of_bounds_is_refused_at_once(void) {
    static const struct {
        uint8_t type, flags, reserved;
        uint32_t stream, length;
    } cases[] = {
        {7, 0, 0, 1, 8},       {255, 0, 0, 1, 8},  {3, 1, 0, 1, 9}, {3, 0, 1, 1, 9},  {3, 0, 0, 0, 9},
        {3, 0, 0, 1, 8},       {3, 0, 0, 1, 65545}, {2, 0, 0, 0, 0}, {2, 0, 0, 1, 1},  {2, 0, 0, 0, (1u << 20) + 1},
        {1, 0, 0, 0, 15},      {1, 0, 0, 1, 16},   {4, 0, 0, 1, 9}, {5, 0, 0, 0, 8},  {6, 0, 0, 1, 1},
        {3, 0, 0, 1, 0xffffffff},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t bytes[12] = {cases[i].type, cases[i].flags, cases[i].reserved};
        struct frame frame;
        memcpy(bytes + 4, &cases[i].stream, 4);
        memcpy(bytes + 8, &cases[i].length, 4);
        CHECK(parse(bytes, sizeof(bytes), &frame) == -EPROTO);
    }
}

static void the_largest_data_frame_is_taken(void) {
    size_t body = MAX_DATA_BYTES, room = body + 64;
    uint8_t *bytes = calloc(1, room);
    struct frame frame;
    size_t length = frame_begin(bytes, FRAME_DATA, 1, 5, (uint32_t)body) + body;
    bytes[length++] = FRAME_END;
    CHECK(frame_parse(bytes, length, &frame) == (ssize_t)length);
    CHECK(frame.body_bytes == body && frame.offset == 5);
    free(bytes);
}

static void a_half_frame_that_zeros_filled_up_is_refused(void) {
    uint8_t bytes[64];
    struct frame frame;
    size_t length = make(bytes, FRAME_DATA, 3, 0, "typed by somebody");
    for (size_t cut = 1; cut < length; cut++) {
        uint8_t filled[128] = {0};
        memcpy(filled, bytes, cut);
        CHECK(frame_parse(filled, sizeof(filled), &frame) == -EPROTO);
    }
}

static void a_sync_is_found_in_rubbish(void) {
    uint8_t bytes[128] = {1, 1, 2, 1, 0, 0, 1};
    size_t length = 7 + make(bytes + 7, FRAME_SYNC, 0, 0, "0123456789abcdef");
    CHECK(frame_bytes_before_sync(bytes, length) == 7);
    CHECK(frame_bytes_before_sync(bytes, 9) == 7); /* what may become one is kept */
    CHECK(frame_bytes_before_sync(bytes, 5) == 3);
    CHECK(frame_bytes_before_sync(bytes, 3) == 3);
    CHECK(frame_bytes_before_sync(bytes, 0) == 0);
}

int main(void) {
    every_type_comes_back_as_it_was_made();
    padding_is_taken_in_one_run();
    a_header_out_of_bounds_is_refused_at_once();
    the_largest_data_frame_is_taken();
    a_half_frame_that_zeros_filled_up_is_refused();
    a_sync_is_found_in_rubbish();
    return 0;
}
