/* The machine's clock and entropy pool: what a machine forked from a template has to be told first. */
#pragma once

#include "control.h"

op_function op_clock;
op_function op_entropy;
