/* The processes of a container that shares its pid namespace with others: those in its mount namespace, by whose
 * number they are known. */
#pragma once

#include "util.h"

/* The number of the container that process `pid` is in; 0 where there is no such process. */
uint64_t members_of(pid_t pid);

/* Sends a signal to each. With SIGKILL it looks again until none is left, however fast they fork; but not for ever. */
void members_signal(uint64_t members, int number);
