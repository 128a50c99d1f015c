/* From an initramfs to a machine that can hold containers. */
#pragma once

#include "util.h"

/* As PID 1 of a machine: mounts what the kernel offers, loads the modules, leaves the initramfs, opens the port.
 * Returns the port's descriptor; ends the machine where there is none. */
int boot_machine(const char *port_name, uint32_t cards);
