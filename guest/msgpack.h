/* The part of msgpack that the wire uses: nil, booleans, integers, strings, binaries, arrays, maps.
 *
 * The reader never reads past its end and never allocates; every function returns 0 or -EBADMSG. */
#pragma once

#include "util.h"
#include "wire.h"

struct mp {
    const uint8_t *at, *end;
};

/* Bytes inside a message. */
struct span {
    const uint8_t *bytes;
    uint32_t length;
};

static inline struct mp mp_over(struct span span) {
    return span.length == 0 ? (struct mp){NULL, NULL} : (struct mp){span.bytes, span.bytes + span.length};
}

/* Skips one value with everything in it, at most `depth` containers deep. */
int mp_skip(struct mp *mp, int depth);

bool mp_at_nil(const struct mp *mp);
int mp_bool(struct mp *mp, bool *value);
int mp_unsigned(struct mp *mp, uint64_t *value);
int mp_signed(struct mp *mp, int64_t *value);

/* A string or a binary: `bytes` points into the message. */
int mp_bytes(struct mp *mp, const uint8_t **bytes, uint32_t *length);

/* The head of an array or a map; `count` values, or pairs, follow. */
int mp_array(struct mp *mp, uint32_t *count);
int mp_map(struct mp *mp, uint32_t *count);

/* The writer fills `bytes`; once something did not fit, `overflow` stays set and nothing more is written. */
struct mpw {
    uint8_t *bytes;
    size_t length, room;
    bool overflow;
};

void mpw_nil(struct mpw *w);
void mpw_bool(struct mpw *w, bool value);
void mpw_unsigned(struct mpw *w, uint64_t value);
void mpw_signed(struct mpw *w, int64_t value);
void mpw_string(struct mpw *w, const char *text);
void mpw_text(struct mpw *w, const char *text, size_t length);

/* Text that a stranger chose: what is not UTF-8 in it becomes question marks. */
void mpw_lossy(struct mpw *w, const char *text, size_t length);
void mpw_binary(struct mpw *w, const void *bytes, size_t length);
void mpw_map(struct mpw *w, uint32_t count);
void mpw_array(struct mpw *w, uint32_t count);

/* An array whose count is known only at its end: mpw_patch_array takes what mpw_open_array returned. */
size_t mpw_open_array(struct mpw *w);
void mpw_patch_array(struct mpw *w, size_t opened, uint32_t count);

/* A value that is msgpack already. */
void mpw_raw(struct mpw *w, const void *bytes, size_t length);
