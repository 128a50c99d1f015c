/* The child's side of `spawn`: from a fork of the agent, already in its namespaces, to the program. */
#pragma once

#include "spawn.h"

/* Where the child keeps its ends until exec closes them. */
enum { CHILD_STDIN, CHILD_STDOUT, CHILD_STDERR, CHILD_CHANNEL, CHILD_FDS };

/* Becomes the program, or reports on `channel` why not and exits. `stdio` are the child's ends of the pipes, -1
 * for /dev/null. `first`: the process is PID 1 of its container. */
_Noreturn void program_run(const struct spawn *spawn, const int stdio[3], int channel, bool first);

/* The soft limit of open files that a program gets, unless its request names one; the agent's own is higher. */
void program_keep_file_limit(uint64_t soft);
