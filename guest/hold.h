/* Holding a machine: no program of a container runs, though each believes that it does.
 *
 * A process that only spins, of a priority above every other but ours, keeps each processor busy. So a machine that
 * was saved while it was held wakes held, and hears of the time and of new randomness before anybody else runs.
 * Nobody is stopped by a signal or sees an interrupted call: to all it looks like a slow processor.
 *
 * The rule: a hold ends by itself after HOLD_LONGEST_S, and with its session, but not at a SYNC: that is what a
 * machine hears first that wakes held. The kernel's own threads are held too, so nothing that waits for one of them
 * may be asked for. */
#pragma once

#include "control.h"

#define HOLD_LONGEST_S 10

op_function op_hold;
op_function op_release;

/* Lets everything run again. */
void hold_end(void);
