/* What a container may use of its machine: memory, processor time, processes. */
#pragma once

#include "control.h"

op_function op_limit;
