/* What the containers of one machine share: file systems below /pod, mounted for as long as they are needed, and
 * shown to containers by `bind`.
 *
 * The rule: nothing outside /pod is touched, and no container reaches it by a path, since each lives in a mount
 * namespace whose old root is gone. */
#pragma once

#include "control.h"

/* Mounts a file system, or makes a directory. */
op_function op_mount;

/* Unmounts one, which goes once no container shows it any more. */
op_function op_unmount;

/* Removes what lies in a directory but for some names: out of sight at once, its blocks soon. */
op_function op_sweep;

/* Unmounts everything below /pod; nobody uses it any more. */
void store_end(void);
