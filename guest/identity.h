/* A container of a forked machine becomes one of its own: its id here, its host name, its machine-id and boot_id,
 * the files that name it.
 *
 * The rule: the new id is taken last, so that an identity that failed half-way can be given again. */
#pragma once

#include "control.h"

op_function op_identity;

/* Replaces files that the agent made for a container, in place. */
op_function op_files;

/* Has the kernel know where the machine-ids of all containers are, or that there are none: a machine that is saved
 * behind this finds them without its disk. */
void identity_look_ahead(void);
