/* What a container has used of its machine, as the kernel counts it. */
#pragma once

#include "control.h"

op_function op_stats;
