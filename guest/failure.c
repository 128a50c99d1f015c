#include "failure.h"

#include <stdarg.h>
#include <stdio.h>

static struct failure last;

int fail(int error, const char *step, const char *object, ...) {
    last.error = error > 0 ? error : EIO;
    snprintf(last.step, sizeof(last.step), "%s", step);
    va_list arguments;
    va_start(arguments, object);
    vsnprintf(last.object, sizeof(last.object), object, arguments);
    va_end(arguments);
    return -last.error;
}

const struct failure *failure_last(void) {
    return &last;
}

int fail_again(const struct failure *reported) {
    return fail(reported->error, reported->step, "%.*s", (int)sizeof(reported->object) - 1, reported->object);
}
