/* Which processes ended because memory ran out, that of their container or all of the machine's.
 *
 * The kernel counts the processes that it killed for that before it kills them: of each cgroup (oom_kill of
 * memory.events), and of the machine (of /proc/vmstat). So whoever is ended by SIGKILL that nobody asked for, or has
 * failed, after the count of its container went up in its time, ended for that. */
#pragma once

#include "cgroup.h"

/* How many processes in `cgroup` the kernel has killed for want of memory; where there is none (NULL, or without such
 * counts) how many of the machine. 0 where it does not tell. */
uint64_t oom_kills(const struct cgroup *cgroup);

/* From now on `fd`, which has an oom_kill line as well (memory.oom_control of a v1 cgroup), counts in place of
 * /proc/vmstat: there the kernel is somebody else's, too. */
void oom_count_by(int fd);
