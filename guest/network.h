/* The machine's network interfaces, by rtnetlink (rtnetlink(7)). */
#pragma once

#include "control.h"

/* Brings up an interface, without addresses; says on the console where that fails, not where there is none. */
void network_bring_up(const char *name);

op_function op_network;
