/* One epoll for everything. A watch says who hears of a descriptor's readiness; it is edge-triggered, so its
 * owner remembers what it did not take. */
#pragma once

#include "util.h"

struct watch {
    void (*ready)(struct watch *watch, uint32_t events);
};

int watch_init(void);

/* Begins to watch `fd` for reading and writing. Closing the descriptor ends it. Returns 0 or -errno. */
int watch_add(int fd, struct watch *watch);

/* Ends it before the descriptor is closed: for one that has duplicates, whose closing would not. */
void watch_remove(int fd);

/* Waits up to `timeout_ms` (-1: for ever) and calls whoever is ready. Returns whether anybody was. */
bool watch_wait(int timeout_ms);
