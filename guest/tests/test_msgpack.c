/* msgpack: what is written comes back, what is cut or lies is refused, depth is bounded. */
#include <string.h>

#include "../fields.h"
#include "../msgpack.h"
#include "check.h"

static uint8_t buffer[1 << 18];

static struct mp written(const struct mpw *w) {
    return (struct mp){w->bytes, w->bytes + w->length};
}

static void numbers_come_back(void) {
    static const int64_t cases[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 1ll << 32, INT64_MAX, -1, -32, -33,
                                    -128, -129, INT32_MIN, INT64_MIN};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mpw w = {.bytes = buffer, .room = sizeof(buffer)};
        int64_t value;
        mpw_signed(&w, cases[i]);
        struct mp mp = written(&w);
        CHECK(mp_signed(&mp, &value) == 0 && value == cases[i] && mp.at == mp.end);
        for (size_t part = 0; part < w.length; part++) {
            struct mp cut = {w.bytes, w.bytes + part};
            CHECK(mp_signed(&cut, &value) == -EBADMSG);
        }
    }
    /* The smallest encodings, which others write. */
    static const uint8_t small[] = {0xd0, 0x80, 0xd1, 0xff, 0x00, 0xcc, 0xc8, 0xcd, 0x01, 0x00};
    struct mp mp = {small, small + sizeof(small)};
    int64_t value;
    CHECK(mp_signed(&mp, &value) == 0 && value == -128);
    CHECK(mp_signed(&mp, &value) == 0 && value == -256);
    CHECK(mp_signed(&mp, &value) == 0 && value == 200);
    CHECK(mp_signed(&mp, &value) == 0 && value == 256);
}

static void an_unsigned_beyond_a_signed_is_refused(void) {
    struct mpw w = {.bytes = buffer, .room = sizeof(buffer)};
    uint64_t number;
    int64_t value;
    mpw_unsigned(&w, UINT64_MAX);
    struct mp mp = written(&w);
    CHECK(mp_signed(&mp, &value) == -EBADMSG);
    mp = written(&w);
    CHECK(mp_unsigned(&mp, &number) == 0 && number == UINT64_MAX);
}

static void strings_of_every_size_come_back(void) {
    for (size_t length = 0; length < 70000; length = length * 3 + 7) {
        struct mpw w = {.bytes = buffer, .room = sizeof(buffer)};
        char *text = calloc(1, length + 1);
        const uint8_t *bytes;
        uint32_t got;
        memset(text, 'x', length);
        mpw_text(&w, text, length);
        struct mp mp = written(&w);
        CHECK(mp_bytes(&mp, &bytes, &got) == 0 && got == length && memcmp(bytes, text, length) == 0);
        mp = written(&w);
        mp.end--;
        CHECK(length == 0 || mp_bytes(&mp, &bytes, &got) == -EBADMSG);
        free(text);
    }
}

static void depth_is_bounded(void) {
    uint8_t deep[64];
    memset(deep, 0x91, sizeof(deep));
    deep[MSGPACK_DEPTH] = 0xc0;
    struct mp mp = {deep, deep + MSGPACK_DEPTH + 1};
    CHECK(mp_skip(&mp, MSGPACK_DEPTH) == 0 && mp.at == mp.end);
    deep[MSGPACK_DEPTH] = 0x91;
    mp = (struct mp){deep, deep + sizeof(deep)};
    CHECK(mp_skip(&mp, MSGPACK_DEPTH) == -EBADMSG);
}

static void a_count_that_lies_ends_with_the_message(void) {
    static const uint8_t lies[][6] = {{0xdd, 0xff, 0xff, 0xff, 0xff, 0}, {0xdf, 0xff, 0xff, 0xff, 0xff, 0},
                                      {0xc6, 0xff, 0xff, 0xff, 0xff, 0}, {0xdb, 0, 0, 0, 2, 0}};
    for (size_t i = 0; i < COUNT(lies); i++) {
        struct mp mp = {lies[i], lies[i] + sizeof(lies[i])};
        CHECK(mp_skip(&mp, MSGPACK_DEPTH) == -EBADMSG);
    }
}

static void floats_and_extensions_are_refused(void) {
    static const uint8_t tags[] = {0xc1, 0xc7, 0xca, 0xcb, 0xd4, 0xd8};
    for (size_t i = 0; i < COUNT(tags); i++) {
        uint8_t bytes[20] = {tags[i]};
        struct mp mp = {bytes, bytes + sizeof(bytes)};
        CHECK(mp_skip(&mp, MSGPACK_DEPTH) == -EBADMSG);
    }
}

static void what_does_not_fit_is_not_written(void) {
    uint8_t small[8];
    struct mpw w = {.bytes = small, .room = sizeof(small)};
    mpw_string(&w, "seven b");
    CHECK(!w.overflow && w.length == 8);
    mpw_nil(&w);
    CHECK(w.overflow && w.length == 8);
    mpw_map(&w, 0);
    CHECK(w.length == 8);
}

static void what_is_not_utf8_becomes_question_marks(void) {
    static const char *const cases[][2] = {
        {"plain", "plain"},           {"caf\xc3\xa9", "caf\xc3\xa9"}, {"\xff\xfe", "??"},
        {"\xc3", "?"},                {"\xc0\xaf", "??"},             {"\xed\xa0\x80", "???"},
        {"\xf4\x90\x80\x80", "????"}, {"\xf0\x9f\x8d\xba", "\xf0\x9f\x8d\xba"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mpw w = {.bytes = buffer, .room = sizeof(buffer)};
        const uint8_t *bytes;
        uint32_t length;
        mpw_lossy(&w, cases[i][0], strlen(cases[i][0]));
        struct mp mp = written(&w);
        CHECK(mp_bytes(&mp, &bytes, &length) == 0 && length == strlen(cases[i][1]));
        CHECK(memcmp(bytes, cases[i][1], length) == 0);
    }
}

/* ---- tables of fields ---- */

struct sample {
    char *name;
    uint32_t count;
    bool flag;
    struct strings words;
};

static const struct field fields[] = {
    NEED(sample, name, FIELD_STRING),
    NEED(sample, count, FIELD_U32),
    MAY(sample, flag, FIELD_BOOL),
    MAY(sample, words, FIELD_STRINGS),
};

static int decode(const struct mpw *w, struct sample *out) {
    struct mp mp = written(w);
    arena_reset();
    memset(out, 0, sizeof(*out));
    return fields_decode(&mp, fields, COUNT(fields), out);
}

static void begin(struct mpw *w, uint32_t pairs, const char *name) {
    *w = (struct mpw){.bytes = buffer, .room = sizeof(buffer)};
    mpw_map(w, pairs);
    mpw_string(w, "name");
    mpw_string(w, name);
    mpw_string(w, "count");
    mpw_unsigned(w, 3);
}

static void a_map_becomes_a_struct(void) {
    struct mpw w;
    struct sample sample;
    begin(&w, 4, "box");
    mpw_string(&w, "words");
    mpw_array(&w, 2);
    mpw_string(&w, "a");
    mpw_string(&w, "");
    mpw_string(&w, "flag");
    mpw_nil(&w);
    CHECK(decode(&w, &sample) == 0);
    CHECK(strcmp(sample.name, "box") == 0 && sample.count == 3 && !sample.flag);
    CHECK(sample.words.count == 2 && strcmp(sample.words.items[0], "a") == 0 && sample.words.items[2] == NULL);
}

static void unknown_missing_and_repeated_keys_are_refused_by_name(void) {
    struct mpw w;
    struct sample sample;
    begin(&w, 3, "box");
    mpw_string(&w, "colour");
    mpw_nil(&w);
    CHECK(decode(&w, &sample) == -EINVAL && strcmp(failure_last()->object, "colour (unknown)") == 0);
    begin(&w, 3, "box");
    mpw_string(&w, "count");
    mpw_unsigned(&w, 4);
    CHECK(decode(&w, &sample) == -EINVAL && strcmp(failure_last()->object, "count, twice") == 0);
    w = (struct mpw){.bytes = buffer, .room = sizeof(buffer)};
    mpw_map(&w, 0);
    CHECK(decode(&w, &sample) == -EINVAL && strcmp(failure_last()->object, "name (missing)") == 0);
}

static void a_string_with_a_nul_inside_is_refused(void) {
    struct mpw w = {.bytes = buffer, .room = sizeof(buffer)};
    struct sample sample;
    mpw_map(&w, 1);
    mpw_string(&w, "name");
    mpw_text(&w, "a\0b", 3);
    CHECK(decode(&w, &sample) == -EINVAL && strcmp(failure_last()->object, "name") == 0);
}

int main(void) {
    numbers_come_back();
    an_unsigned_beyond_a_signed_is_refused();
    strings_of_every_size_come_back();
    depth_is_bounded();
    a_count_that_lies_ends_with_the_message();
    floats_and_extensions_are_refused();
    what_does_not_fit_is_not_written();
    what_is_not_utf8_becomes_question_marks();
    a_map_becomes_a_struct();
    unknown_missing_and_repeated_keys_are_refused_by_name();
    a_string_with_a_nul_inside_is_refused();
    return 0;
}
