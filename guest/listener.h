/* Sockets that listen in a container for the host.
 *
 *     listen ──► event "incoming" ──► accept, until nobody waits ──► "incoming" ... ──► unlisten
 *
 * The rule: who connects waits in the kernel's backlog, which is bounded, until the host takes the connection with
 * `accept`; "incoming" is told once and not again before the host has heard that nobody waits. A listener belongs to
 * the session that opened it and ends with it; its file stays then, and the next `listen` replaces it. */
#pragma once

#include "container.h"

op_function op_listen;
op_function op_accept;
op_function op_unlisten;

/* Ends those of `container`; all of them. */
void listeners_end_of(const struct container *container);
void listeners_end_all(void);
