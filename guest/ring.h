/* One window's worth of bytes between two absolute offsets of a stream.
 *
 * All rings lie in one reservation that is never copied into children; memory is used only for what was really
 * buffered, and an emptied ring begins at its first page again. */
#pragma once

#include <sys/uio.h>

#include "util.h"
#include "wire.h"

struct ring {
    uint8_t *bytes;
    uint64_t first;  /* offset of the oldest byte held */
    uint64_t last;   /* offset behind the newest */
    uint64_t origin; /* offset of the byte at bytes[0], modulo the window */
    uint32_t touched;
};

/* A ring has some room before its first byte and behind its last, for whoever frames its bytes where they lie. */
#define RING_GUARD_BYTES 4096u

/* Reserves address space for `count` rings. Returns 0 or -errno. */
int rings_reserve(size_t count);

/* Makes `ring` the empty ring number `slot`. */
void ring_open(struct ring *ring, size_t slot);

/* Drops what it holds and gives its memory back. */
void ring_close(struct ring *ring);

static inline uint64_t ring_held(const struct ring *ring) {
    return ring->last - ring->first;
}

/* The free space, as one or two pieces; returns how many. */
int ring_space(struct ring *ring, struct iovec pieces[2]);

/* The bytes from `offset` on, at most `limit`, as one or two pieces; returns how many. */
int ring_bytes(const struct ring *ring, uint64_t offset, size_t limit, struct iovec pieces[2]);

/* `count` bytes were put into the free space. */
void ring_added(struct ring *ring, size_t count);

/* Everything before `offset` is needed no more. */
void ring_drop(struct ring *ring, uint64_t offset);

/* Copies bytes in; the caller has checked that they fit. */
void ring_append(struct ring *ring, const uint8_t *bytes, size_t count);
