/* The byte stream to the host: reads frames, writes frames, and outlives every host.
 *
 * The rule: a host that goes away loses nothing but what was in flight. Until a SYNC begins a session nothing is
 * sent, and bytes are dropped. */
#pragma once

#include "msgpack.h"
#include "watch.h"

/* Serves `fd`: a connected stream, or a listening socket whose hosts are taken one after the other.
 * `persistent`: a virtio-serial port, to which a host comes back. Returns 0 or -errno. */
int port_serve(int fd, bool persistent);

/* Reads and writes what can be. Returns whether more could be done at once. */
bool port_work(void);

/* Whether the only host that there will ever be is gone. */
bool port_gone(void);

/* Queues one map as a CONTROL frame; without a session it goes nowhere. Returns false where it is larger than a
 * frame may be. */
bool port_send_control(const struct mpw *map);
