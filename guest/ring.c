#include "ring.h"

#include <string.h>
#include <sys/mman.h>

/* A released ring keeps this much, so that short streams don't fault pages in again and again. */
#define KEPT_BYTES 16384u

/* What is behind one ring is before the next. */
#define STRIDE_BYTES (WINDOW_BYTES + RING_GUARD_BYTES)

static uint8_t *reservation;

int rings_reserve(size_t count) {
    size_t bytes = count * STRIDE_BYTES + RING_GUARD_BYTES;
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED || madvise(at, bytes, MADV_DONTFORK) < 0)
        return -errno;
    reservation = at;
    return 0;
}

void ring_open(struct ring *ring, size_t slot) {
    *ring = (struct ring){.bytes = reservation + slot * STRIDE_BYTES + RING_GUARD_BYTES};
}

void ring_close(struct ring *ring) {
    if (ring->touched > KEPT_BYTES)
        madvise(ring->bytes + KEPT_BYTES, WINDOW_BYTES - KEPT_BYTES, MADV_DONTNEED);
    ring->first = ring->origin = ring->last;
    ring->touched = 0;
}

static int pieces_of(const struct ring *ring, uint64_t from, size_t count, struct iovec pieces[2]) {
    if (count == 0)
        return 0;
    size_t at = (size_t)((from - ring->origin) % WINDOW_BYTES), head = MIN(count, WINDOW_BYTES - at);
    pieces[0] = (struct iovec){ring->bytes + at, head};
    pieces[1] = (struct iovec){ring->bytes, count - head};
    return count > head ? 2 : 1;
}

int ring_space(struct ring *ring, struct iovec pieces[2]) {
    if (ring_held(ring) == 0)
        ring->origin = ring->last;
    return pieces_of(ring, ring->last, WINDOW_BYTES - ring_held(ring), pieces);
}

int ring_bytes(const struct ring *ring, uint64_t offset, size_t limit, struct iovec pieces[2]) {
    return pieces_of(ring, offset, MIN(limit, ring->last - offset), pieces);
}

void ring_added(struct ring *ring, size_t count) {
    size_t end = (size_t)((ring->last - ring->origin) % WINDOW_BYTES) + count;
    ring->touched = (uint32_t)MIN(WINDOW_BYTES, end > ring->touched ? end : ring->touched);
    ring->last += count;
}

void ring_drop(struct ring *ring, uint64_t offset) {
    if (offset > ring->first)
        ring->first = offset;
}

void ring_append(struct ring *ring, const uint8_t *bytes, size_t count) {
    struct iovec space[2];
    int pieces = ring_space(ring, space);
    size_t left = count;
    for (int i = 0; i < pieces && left > 0; i++) {
        size_t part = MIN(left, space[i].iov_len);
        memcpy(space[i].iov_base, bytes, part);
        bytes += part;
        left -= part;
    }
    ring_added(ring, count - left);
}
