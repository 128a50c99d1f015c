/* Kernel modules out of the initramfs: /modules/NAME.ko, uncompressed, and /modules.list in order of loading. */
#pragma once

#include "control.h"

/* Keeps the initramfs' root open, since the agent leaves it. */
void modules_open(void);

/* The descriptor of that root. */
int modules_fd(void);

/* Loads what /modules.list names, saying on the console which one failed. */
void modules_load_listed(void);

/* Loads one, unless it is there. Returns 0 or -errno: -ENOENT where the initramfs does not have it. */
int module_load(const char *name);

op_function op_load;
