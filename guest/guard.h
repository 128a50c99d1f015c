/* An address that the machine's programs may answer, and not turn to: the host's, where ports are published. */
#pragma once

#include "control.h"

op_function op_guard;
