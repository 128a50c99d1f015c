/* A container without a program: its first process keeps the namespaces that others join, takes in the orphans of
 * those that live in its pid namespace, and ends at SIGTERM. It has no privilege and an empty root. */
#pragma once

/* In the process that was to become the container's first program: stands for it. */
_Noreturn void pause_run(int channel);
