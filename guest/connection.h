/* Connections between the host and sockets in the containers, each with a stream for either direction.
 *
 *     connect ── at once, or when the socket is writable ──► event "connected" ──► streams ──► hangup
 *
 * The rule: a connection belongs to the session that opened it and ends with it. Each direction ends by itself, as a
 * socket's do; `hangup` ends what is left of both. */
#pragma once

#include "container.h"

op_function op_connect;
op_function op_hangup;

/* Whether number `id` and the two stream ids are free. Returns 0 or -errno with the failure recorded. */
int connection_check(const char *step, uint32_t id, uint32_t input, uint32_t output);

/* A new connection over the connected socket `fd`, which it takes in any case. `holds_root`: the socket is bound in
 * the file system of `container`, which cannot be unmounted meanwhile. Returns 0 or -errno with the failure
 * recorded. */
int connection_begin(uint32_t id, int fd, uint32_t input, uint32_t output, const struct container *container,
                     bool holds_root);

/* Whether bytes may come, or go, through a socket that holds the root of `container`. */
bool connections_hold(const struct container *container);

/* Ends those that hold the root of `container`; all of them. */
void connections_end_of(const struct container *container);
void connections_end_all(void);
