/* The machine's network cards by number, in the order of its devices. A card has a driver, and an interface, only
 * while it is used: a spare one is seen by nobody in the machine until a request names it.
 *
 * All of these return 0 or -errno. */
#pragma once

#include "util.h"

#define CARD_DRIVER "virtio_net"

/* Whether cards get their driver as that is loaded. */
void cards_probe(bool probed);

/* What is so once all modules are loaded: the first `used` cards have their driver, and no other. */
void cards_begin(uint32_t used);

/* Gives card `number` its driver, and its interface that name; nothing happens where it has both. */
int card_take(uint32_t number, const char *interface);

/* Takes its driver away, and with it its interface, whose index was `*index`; 0: it had none. */
int card_leave(uint32_t number, unsigned *index);
