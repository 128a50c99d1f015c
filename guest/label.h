/* The security labels that a program gets as it is executed: SELinux's and AppArmor's (attr/exec in proc(5)). */
#pragma once

#include "util.h"

/* Asks for them, each "" for none. Returns 0, or -errno with the failure recorded: -EOPNOTSUPP where the kernel
 * runs no such module, so that a label is never silently left out. */
int label_take(const char *selinux, const char *apparmor);
