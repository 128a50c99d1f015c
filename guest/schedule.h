/* How a process is scheduled, and its input and output: sched_setattr(2), ioprio_set(2). */
#pragma once

#include "fields.h"

/* Takes what `wanted` (a map, or nothing: SCHED_OTHER) asks for. Returns 0 or -errno with the failure recorded. */
int schedule_take(struct span wanted);

/* The class and priority as IOPRIO_PRIO_VALUE has them; 0: leave it. Returns as above. */
int schedule_take_io(uint32_t priority);
