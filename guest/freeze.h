/* Freezing a container's root: nothing is written to it, so that what is on its disk is whole.
 *
 * The rule: a frozen root belongs to the session that froze it. With that session's end, however it comes, the
 * agent thaws it: in a machine that was saved meanwhile, too, when the first SYNC arrives. */
#pragma once

#include "container.h"

op_function op_freeze;
op_function op_thaw;

/* Thaws what is frozen: of one container, of all. */
void freeze_end(struct container *container);
void freeze_end_all(void);
