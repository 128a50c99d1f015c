/* Kernel modules out of the initramfs: /modules/NAME.ko, uncompressed, and /modules.list in order of loading. */
#pragma once

#include "control.h"

/* Keeps the initramfs' root open, since the agent leaves it. */
void modules_open(void);

/* Loads what /modules.list names, saying on the console which one failed. */
void modules_load_listed(void);

op_function op_load;
