/* PID 1 of a container that asked for an init (--init): passes signals on to the one program that it is there for,
 * reaps whatever becomes an orphan, and ends as that program ends.
 *
 * The rule: it is a fresh execution of the agent's own file, so that nothing of the agent's memory is left in it, and
 * the image needs no such program; and it is no mightier than the program that it is there for. */
#pragma once

#include "util.h"

#define REAPER_NAME "firkin-init"

/* In PID 1 of a container, as whoever it is to be: becomes the init of the child `pid`. Returns -errno. */
int reaper_exec(pid_t pid);

/* What that execution does: to be called first in main. Returns where `arguments` are not for it. */
void reaper_run(char **arguments);
