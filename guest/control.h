/* Requests and events: which function serves which op, and how answers are written.
 *
 * The rule: a request is answered in the order in which it came, whatever it asked for. */
#pragma once

#include "fields.h"

/* Serves one op: decodes `request` (the map, `op` and `id` included) and writes its answer, if it has more to
 * say than that it worked, as one value into `ok`. Returns 0, or -errno with the failure recorded. */
typedef int op_function(struct span request, struct mpw *ok);

/* Serves one CONTROL payload. Returns -EPROTO where it is no request that could be answered. */
int control_request(const uint8_t *bytes, uint32_t length);

/* The agent begins: `hello` tells when, which parts the kernel's time from ours. */
void control_begin(void);

/* Draws a new `boot`, the random bytes that tell this agent from every other: its forks are no longer it. */
#define CONTROL_BOOT_BYTES 16u
const uint8_t *control_draw_boot(void);

/* Queues the hello event. */
void control_hello(void);

/* Whether the machine is ours: only then do `clock`, `entropy`, `load`, `network` and `poweroff` act on it. */
void control_own_machine(bool owned);
