/* Trees of files in and out: `unpack`, `pack`, `stat`.
 *
 * Each is done by a child of ours, so that no slow disk and no slow host is waited for here. It lives in the machine,
 * where no process of a container sees it, and holds the container's root open; it ends with the container. To the
 * host it is a process like any other, whose streams carry the archive and, at its end, one map: what was done or why
 * not. */
#pragma once

#include "control.h"

op_function op_unpack;
op_function op_pack;
op_function op_stat;
