/* The machine's network interfaces, by rtnetlink (rtnetlink(7)). */
#pragma once

#include "control.h"

/* Brings up an interface, without addresses; says on the console where that fails, not where there is none. */
void network_bring_up(const char *name);

/* From here on programs may change what op_network sets up, so no request is done already. */
void network_open_to_others(void);

op_function op_network;

/* Takes a card out of use, with all that was set up on it; nothing happens where it is not in use. */
op_function op_unplug;
