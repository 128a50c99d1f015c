/* Why a request failed: the errno, the step it was at, the object of that step. One request is handled at a
 * time, so there is one failure; it crosses from a child to the agent as these bytes. */
#pragma once

#include "util.h"

struct failure {
    int error;
    char step[32];
    char object[224];
};

/* Records a failure (`error` is positive) and returns -error. The object is printf-formatted. */
int fail(int error, const char *step, const char *object, ...) _printf_(3, 4);

/* The last failure recorded. */
const struct failure *failure_last(void);

/* Records a failure that a child reported. Returns -errno of it, always negative. */
int fail_again(const struct failure *reported);
