/* A request's map becomes a C struct by a table of its fields. Unknown keys are refused, so that nothing that
 * the host asked for is silently dropped; missing ones too, unless the table has a default for them. */
#pragma once

#include "failure.h"
#include "msgpack.h"

/* Strings with a NUL behind, and how many: ends with a NULL pointer, ready for execve. */
struct strings {
    char **items;
    uint32_t count;
};

enum field_type {
    FIELD_BOOL,    /* bool */
    FIELD_U32,     /* uint32_t */
    FIELD_U64,     /* uint64_t */
    FIELD_I32,     /* int32_t */
    FIELD_STRING,  /* char *, a copy without NUL bytes inside */
    FIELD_BYTES,   /* struct span */
    FIELD_STRINGS, /* struct strings */
    FIELD_VALUE,   /* struct span: any value, still msgpack */
    FIELD_SKIP,    /* read elsewhere */
};

struct field {
    const char *name;
    enum field_type type;
    uint32_t offset;
    bool optional; /* keeps what the struct held; so does nil */
};

#define NEED(type, member, kind) {#member, kind, offsetof(struct type, member), false}
#define MAY(type, member, kind) {#member, kind, offsetof(struct type, member), true}

/* Every op's map has these two, which control.c reads. */
#define REQUEST_FIELDS {"op", FIELD_SKIP, 0, true}, {"id", FIELD_SKIP, 0, true}

/* Decodes the map at `mp` into `out`. Copies live in the arena until the next arena_reset().
 * Returns 0 or -errno with the failure recorded (step "request", the field's name as the object). */
int fields_decode(struct mp *mp, const struct field *fields, size_t count, void *out);

/* Decodes each map of the array in `list` into a fresh zeroed struct and hands it to `each`, which stops the walk
 * by returning non-zero. Returns that, or -errno. */
int fields_each(struct span list, const struct field *fields, size_t count, size_t struct_bytes,
                int (*each)(void *item, void *context), void *context);

void *arena_alloc(size_t bytes, size_t align);
void arena_reset(void);
