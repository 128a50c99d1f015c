#include "fields.h"

#include <stdalign.h>
#include <string.h>

/* A message is at most MAX_CONTROL_BYTES long; its strings take one byte of tag there and one of NUL here, and
 * the arrays of pointers to them are bounded by MAX_ITEMS. */
#define MAX_ITEMS 32768u
#define MAX_FIELDS 64u
#define ARENA_BYTES ((size_t)MAX_CONTROL_BYTES + 4 * MAX_ITEMS * sizeof(char *) + 65536)

static alignas(16) char arena[ARENA_BYTES];
static size_t arena_used;

void *arena_alloc(size_t bytes, size_t align) {
    size_t start = (arena_used + align - 1) & ~(align - 1);
    if (start > sizeof(arena) || bytes > sizeof(arena) - start)
        return NULL;
    arena_used = start + bytes;
    return arena + start;
}

void arena_reset(void) {
    arena_used = 0;
}

static int take_string(struct mp *mp, char **out) {
    const uint8_t *bytes;
    uint32_t length;
    if (mp_bytes(mp, &bytes, &length) < 0 || memchr(bytes, 0, length) != NULL)
        return -EINVAL;
    char *copy = arena_alloc((size_t)length + 1, 1);
    if (copy == NULL)
        return -E2BIG;
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    *out = copy;
    return 0;
}

static int take_strings(struct mp *mp, struct strings *out) {
    if (mp_array(mp, &out->count) < 0)
        return -EINVAL;
    if (out->count > MAX_ITEMS)
        return -E2BIG;
    out->items = arena_alloc((out->count + 1) * sizeof(char *), alignof(char *));
    if (out->items == NULL)
        return -E2BIG;
    for (uint32_t i = 0; i < out->count; i++) {
        int error = take_string(mp, &out->items[i]);
        if (error < 0)
            return error;
    }
    out->items[out->count] = NULL;
    return 0;
}

static int take_u32(struct mp *mp, uint32_t *out) {
    uint64_t value;
    if (mp_unsigned(mp, &value) < 0 || value > UINT32_MAX)
        return -EINVAL;
    *out = (uint32_t)value;
    return 0;
}

static int take_i32(struct mp *mp, int32_t *out) {
    int64_t value;
    if (mp_signed(mp, &value) < 0 || value < INT32_MIN || value > INT32_MAX)
        return -EINVAL;
    *out = (int32_t)value;
    return 0;
}

static int take_value(struct mp *mp, struct span *out) {
    out->bytes = mp->at;
    if (mp_skip(mp, MSGPACK_DEPTH) < 0)
        return -EINVAL;
    out->length = (uint32_t)(mp->at - out->bytes);
    return 0;
}

static int take_bytes(struct mp *mp, struct span *out) {
    return mp_bytes(mp, &out->bytes, &out->length) < 0 ? -EINVAL : 0;
}

static int take(struct mp *mp, enum field_type type, void *out) {
    switch (type) {
    case FIELD_BOOL:
        return mp_bool(mp, out) < 0 ? -EINVAL : 0;
    case FIELD_U32:
        return take_u32(mp, out);
    case FIELD_U64:
        return mp_unsigned(mp, out) < 0 ? -EINVAL : 0;
    case FIELD_I32:
        return take_i32(mp, out);
    case FIELD_STRING:
        return take_string(mp, out);
    case FIELD_BYTES:
        return take_bytes(mp, out);
    case FIELD_STRINGS:
        return take_strings(mp, out);
    case FIELD_VALUE:
        return take_value(mp, out);
    case FIELD_SKIP:
        return mp_skip(mp, MSGPACK_DEPTH) < 0 ? -EINVAL : 0;
    }
    return -EINVAL;
}

static bool same(const char *name, const uint8_t *key, uint32_t length) {
    for (uint32_t i = 0; i < length; i++)
        if (name[i] == '\0' || name[i] != (char)key[i])
            return false;
    return name[length] == '\0';
}

/* Looks first at field `*next`, since maps mostly have the table's order. */
static int take_pair(struct mp *mp, const struct field *fields, size_t count, void *out, uint64_t *seen,
                     size_t *next) {
    const uint8_t *key;
    uint32_t length;
    if (mp_bytes(mp, &key, &length) < 0)
        return fail(EINVAL, "request", "a key that is no string");
    for (size_t tried = 0, i = *next; tried < count; tried++, i = i + 1 < count ? i + 1 : 0) {
        if (!same(fields[i].name, key, length))
            continue;
        *next = i + 1 < count ? i + 1 : 0;
        if (*seen & 1ull << i)
            return fail(EINVAL, "request", "%s, twice", fields[i].name);
        if (fields[i].optional && mp_at_nil(mp)) {
            mp->at++;
            return 0;
        }
        *seen |= 1ull << i;
        int error = take(mp, fields[i].type, (char *)out + fields[i].offset);
        return error < 0 ? fail(-error, "request", "%s", fields[i].name) : 0;
    }
    return fail(EINVAL, "request", "%.*s (unknown)", (int)MIN(length, 64u), (const char *)key);
}

int fields_decode(struct mp *mp, const struct field *fields, size_t count, void *out) {
    uint32_t pairs;
    uint64_t seen = 0;
    size_t next = 0;
    if (count > MAX_FIELDS || mp_map(mp, &pairs) < 0)
        return fail(EINVAL, "request", "not a map");
    for (uint32_t i = 0; i < pairs; i++) {
        int error = take_pair(mp, fields, count, out, &seen, &next);
        if (error < 0)
            return error;
    }
    for (size_t i = 0; i < count; i++)
        if (!fields[i].optional && !(seen & 1ull << i))
            return fail(EINVAL, "request", "%s (missing)", fields[i].name);
    return 0;
}

int fields_each(struct span list, const struct field *fields, size_t count, size_t struct_bytes,
                int (*each)(void *item, void *context), void *context) {
    struct mp mp = mp_over(list);
    uint32_t items;
    if (list.length == 0)
        return 0;
    if (mp_array(&mp, &items) < 0)
        return fail(EINVAL, "request", "not a list");
    for (uint32_t i = 0; i < items; i++) {
        alignas(16) char item[256] = {0};
        if (struct_bytes > sizeof(item))
            return fail(E2BIG, "request", "list item");
        int error = fields_decode(&mp, fields, count, item);
        if (error == 0)
            error = each(item, context);
        if (error != 0)
            return error;
    }
    return 0;
}
