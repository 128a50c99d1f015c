/* The processes of a container that shares its pid namespace with others: those in its cgroup, or where there are no
 * cgroups in its mount namespace, by whose number they are known then. */
#pragma once

#include "container.h"

/* The number of the mount namespace that process `pid` is in; 0 where there is no such process. */
uint64_t members_of(pid_t pid);

/* Whether process `pid`, as /proc here has it, is one of the container's. */
bool members_have(const struct container *container, pid_t pid);

/* Sends a signal to each. With SIGKILL none is left, however fast they fork: they are gone, or about to be. */
void members_signal(const struct container *container, int number);
