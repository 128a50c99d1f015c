#include "fresh.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define SLOTS (2 * FRESH_NAMES)

static uint64_t *slots, seed;
static uint32_t used;

int fresh_begin(void) {
    /* What is not touched costs nothing. */
    void *at = mmap(NULL, SLOTS * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return -errno;
    slots = at;
    return getrandom(&seed, sizeof(seed), GRND_INSECURE) == sizeof(seed) ? 0 : -EIO;
}

/* FNV-1a, from a seed that no archive knows; 0 marks a free slot. */
static uint64_t key_of(uint64_t directory, const char *name) {
    uint64_t key = 0xcbf29ce484222325u ^ seed ^ directory * 0x9e3779b97f4a7c15u;
    for (; *name != '\0'; name++)
        key = (key ^ (uint8_t)*name) * 0x100000001b3u;
    key ^= key >> 32;
    return key == 0 ? 1 : key;
}

static uint64_t *slot_of(uint64_t key) {
    size_t at = key % SLOTS;
    while (slots[at] != 0 && slots[at] != key)
        at = (at + 1) % SLOTS;
    return &slots[at];
}

int fresh_add(uint64_t directory, const char *name) {
    uint64_t key = key_of(directory, name), *slot = slot_of(key);
    if (*slot == key)
        return 0;
    if (used == FRESH_NAMES)
        return -E2BIG;
    used++;
    *slot = key;
    return 0;
}

bool fresh_has(uint64_t directory, const char *name) {
    uint64_t key = key_of(directory, name);
    return *slot_of(key) == key;
}
