/* The end: of the machine, or of the namespace that the agent is PID 1 of. */
#pragma once

#include "control.h"

op_function op_sync;
op_function op_poweroff;

/* Ends the machine (isa-debug-exit, else a reboot, which QEMU takes for the end), or only this process where the
 * machine is not ours. Does not return. */
_Noreturn void power_off(bool machine);
void power_own_machine(bool owned);
