/* The pid namespace that our next children are born in: another one's for a moment, else our own. */
#pragma once

#include "util.h"

/* From now on that of the process `pidfd`. Returns 0 or -errno. */
int pids_enter(int pidfd);

/* Our own again; keeps errno. */
void pids_leave(void);
