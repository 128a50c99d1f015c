/* The machine's network interfaces, by rtnetlink (rtnetlink(7)). */
#pragma once

#include "control.h"

/* Brings up `lo`, saying on the console where that fails. */
void network_bring_up_loopback(void);

op_function op_network;
