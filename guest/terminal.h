/* A process's controlling terminal: a pty of the container's own devpts, pty(7). */
#pragma once

#include "spawn.h"

/* In the child: opens a pty, makes it the controlling terminal and the standard streams, and passes its master
 * over `channel`. `machine`: outside any container, where devpts may not be mounted yet. `console`: it becomes
 * /dev/console too. Returns 0 or -errno with the failure recorded. */
int terminal_take(const struct window *window, bool machine, bool console, int channel);

/* Sets the size of the terminal that `fd` is the master of. Returns 0 or -errno. */
int terminal_resize(int fd, const struct window *window);
