/* Which processes ended because the machine ran out of memory.
 *
 * The kernel counts the processes that it killed for that (oom_kill of /proc/vmstat) before it kills them. So whoever
 * is ended by SIGKILL that nobody asked for, or has failed, after the count went up in its time, ended for that. */
#pragma once

#include "util.h"

/* How many processes the kernel has killed for want of memory since the machine began; 0 where it does not tell. */
uint64_t oom_kills(void);
