#include "msgpack.h"

#include <string.h>

enum kind { NIL, BOOLEAN, UNSIGNED, SIGNED, BYTES, ARRAY, MAP };

struct item {
    enum kind kind;
    uint64_t number; /* the value, or how many bytes, values or pairs follow */
};

static int big_endian(struct mp *mp, unsigned bytes, uint64_t *value) {
    if ((size_t)(mp->end - mp->at) < bytes)
        return -EBADMSG;
    *value = 0;
    for (unsigned i = 0; i < bytes; i++)
        *value = *value << 8 | *mp->at++;
    return 0;
}

static int sized(struct mp *mp, enum kind kind, unsigned bytes, struct item *item) {
    item->kind = kind;
    return big_endian(mp, bytes, &item->number);
}

static int negative(struct mp *mp, unsigned bytes, struct item *item) {
    uint64_t raw;
    if (big_endian(mp, bytes, &raw) < 0)
        return -EBADMSG;
    unsigned shift = 64 - 8 * bytes;
    int64_t value = (int64_t)(raw << shift) >> shift;
    *item = (struct item){value < 0 ? SIGNED : UNSIGNED, (uint64_t)value};
    return 0;
}

static int next_sized(struct mp *mp, uint8_t tag, struct item *item) {
    switch (tag) {
    case 0xc4: case 0xc5: case 0xc6:
        return sized(mp, BYTES, 1u << (tag - 0xc4), item);
    case 0xcc: case 0xcd: case 0xce: case 0xcf:
        return sized(mp, UNSIGNED, 1u << (tag - 0xcc), item);
    case 0xd0: case 0xd1: case 0xd2: case 0xd3:
        return negative(mp, 1u << (tag - 0xd0), item);
    case 0xd9: case 0xda: case 0xdb:
        return sized(mp, BYTES, 1u << (tag - 0xd9), item);
    case 0xdc: case 0xdd:
        return sized(mp, ARRAY, 2u << (tag - 0xdc), item);
    case 0xde: case 0xdf:
        return sized(mp, MAP, 2u << (tag - 0xde), item);
    default: /* floats, extensions and the byte that msgpack never uses */
        return -EBADMSG;
    }
}

static int next(struct mp *mp, struct item *item) {
    if (mp->at == mp->end)
        return -EBADMSG;
    uint8_t tag = *mp->at++;
    if (tag < 0x80)
        *item = (struct item){UNSIGNED, tag};
    else if (tag < 0x90)
        *item = (struct item){MAP, tag & 0x0f};
    else if (tag < 0xa0)
        *item = (struct item){ARRAY, tag & 0x0f};
    else if (tag < 0xc0)
        *item = (struct item){BYTES, tag & 0x1f};
    else if (tag == 0xc0)
        *item = (struct item){NIL, 0};
    else if (tag == 0xc2 || tag == 0xc3)
        *item = (struct item){BOOLEAN, tag & 1};
    else if (tag >= 0xe0)
        *item = (struct item){SIGNED, (uint64_t)(int64_t)(int8_t)tag};
    else
        return next_sized(mp, tag, item);
    return 0;
}

int mp_skip(struct mp *mp, int depth) {
    struct item item;
    if (next(mp, &item) < 0)
        return -EBADMSG;
    if (item.kind == BYTES) {
        if ((uint64_t)(mp->end - mp->at) < item.number)
            return -EBADMSG;
        mp->at += item.number;
        return 0;
    }
    if (item.kind != ARRAY && item.kind != MAP)
        return 0;
    if (depth == 0)
        return -EBADMSG;
    /* Each value takes a byte at least, so a count that lies ends with the message, not with us. */
    for (uint64_t left = item.number * (item.kind == MAP ? 2 : 1); left > 0; left--)
        if (mp_skip(mp, depth - 1) < 0)
            return -EBADMSG;
    return 0;
}

static int expect(struct mp *mp, enum kind kind, uint64_t *number) {
    struct item item;
    if (next(mp, &item) < 0 || item.kind != kind)
        return -EBADMSG;
    *number = item.number;
    return 0;
}

bool mp_at_nil(const struct mp *mp) {
    return mp->at < mp->end && *mp->at == 0xc0;
}

int mp_bool(struct mp *mp, bool *value) {
    uint64_t number;
    if (expect(mp, BOOLEAN, &number) < 0)
        return -EBADMSG;
    *value = number != 0;
    return 0;
}

int mp_unsigned(struct mp *mp, uint64_t *value) {
    return expect(mp, UNSIGNED, value);
}

int mp_signed(struct mp *mp, int64_t *value) {
    struct item item;
    if (next(mp, &item) < 0 || (item.kind != SIGNED && item.kind != UNSIGNED))
        return -EBADMSG;
    if (item.kind == UNSIGNED && item.number > INT64_MAX)
        return -EBADMSG;
    *value = (int64_t)item.number;
    return 0;
}

int mp_bytes(struct mp *mp, const uint8_t **bytes, uint32_t *length) {
    uint64_t number;
    if (expect(mp, BYTES, &number) < 0 || number > (uint64_t)(mp->end - mp->at))
        return -EBADMSG;
    *bytes = mp->at;
    *length = (uint32_t)number;
    mp->at += number;
    return 0;
}

static int head(struct mp *mp, enum kind kind, uint32_t *count) {
    uint64_t number;
    if (expect(mp, kind, &number) < 0 || number > (uint64_t)(mp->end - mp->at))
        return -EBADMSG;
    *count = (uint32_t)number;
    return 0;
}

int mp_array(struct mp *mp, uint32_t *count) {
    return head(mp, ARRAY, count);
}

int mp_map(struct mp *mp, uint32_t *count) {
    return head(mp, MAP, count);
}

void mpw_raw(struct mpw *w, const void *bytes, size_t length) {
    if (w->overflow || length > w->room - w->length) {
        w->overflow = true;
        return;
    }
    if (length > 0)
        memcpy(w->bytes + w->length, bytes, length);
    w->length += length;
}

static void tagged(struct mpw *w, uint8_t tag, uint64_t number, unsigned bytes) {
    uint8_t out[9] = {tag};
    for (unsigned i = 0; i < bytes; i++)
        out[1 + i] = (uint8_t)(number >> 8 * (bytes - 1 - i));
    mpw_raw(w, out, 1 + bytes);
}

void mpw_nil(struct mpw *w) {
    tagged(w, 0xc0, 0, 0);
}

void mpw_bool(struct mpw *w, bool value) {
    tagged(w, value ? 0xc3 : 0xc2, 0, 0);
}

void mpw_unsigned(struct mpw *w, uint64_t value) {
    if (value < 0x80)
        tagged(w, (uint8_t)value, 0, 0);
    else if (value <= UINT32_MAX)
        tagged(w, 0xce, value, 4);
    else
        tagged(w, 0xcf, value, 8);
}

void mpw_signed(struct mpw *w, int64_t value) {
    if (value >= 0)
        mpw_unsigned(w, (uint64_t)value);
    else
        tagged(w, 0xd3, (uint64_t)value, 8);
}

void mpw_text(struct mpw *w, const char *text, size_t length) {
    if (length < 32)
        tagged(w, (uint8_t)(0xa0 | length), 0, 0);
    else
        tagged(w, 0xdb, length, 4);
    mpw_raw(w, text, length);
}

void mpw_string(struct mpw *w, const char *text) {
    mpw_text(w, text, strlen(text));
}

/* The bytes of the UTF-8 sequence at `text`, 0 where none begins (RFC 3629: no surrogates, nothing overlong). */
static size_t utf8_sequence(const uint8_t *text, size_t length) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = text[0];
    size_t bytes = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    if (bytes <= 1 || bytes > length)
        return bytes > length ? 0 : bytes;
    uint32_t point = lead & (0xffu >> (bytes + 1));
    for (size_t i = 1; i < bytes; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        point = point << 6 | (text[i] & 0x3f);
    }
    bool legal = point >= least[bytes] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    return legal ? bytes : 0;
}

void mpw_lossy(struct mpw *w, const char *text, size_t length) {
    size_t start = w->length + (length < 32 ? 1 : 5);
    mpw_text(w, text, length);
    if (w->overflow)
        return;
    uint8_t *copy = w->bytes + start;
    for (size_t i = 0; i < length;) {
        size_t bytes = utf8_sequence(copy + i, length - i);
        if (bytes == 0)
            copy[i] = '?';
        i += bytes > 0 ? bytes : 1;
    }
}

void mpw_binary(struct mpw *w, const void *bytes, size_t length) {
    tagged(w, 0xc6, length, 4);
    mpw_raw(w, bytes, length);
}

void mpw_map(struct mpw *w, uint32_t count) {
    tagged(w, count < 16 ? (uint8_t)(0x80 | count) : 0xdf, count, count < 16 ? 0 : 4);
}

void mpw_array(struct mpw *w, uint32_t count) {
    tagged(w, count < 16 ? (uint8_t)(0x90 | count) : 0xdd, count, count < 16 ? 0 : 4);
}

size_t mpw_open_array(struct mpw *w) {
    size_t opened = w->length;
    tagged(w, 0xdd, 0, 4);
    return opened;
}

void mpw_patch_array(struct mpw *w, size_t opened, uint32_t count) {
    struct mpw patch = {.bytes = w->bytes + opened, .room = 5};
    if (!w->overflow)
        tagged(&patch, 0xdd, count, 4);
}
