/* `ps`: the processes of a container as its own procfs shows them, proc(5). */
#pragma once

#include "control.h"

op_function op_ps;
