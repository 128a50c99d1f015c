/* Serves one op outside the agent: reads a request from its standard input, calls op_network, and prints
 * what the agent would answer: nothing, or the errno, the step and the object. tests/guest/test_network.py runs
 * it in a network namespace and lets iproute2 judge. */
#include <stdio.h>

#include "../network.h"

int main(void) {
    static uint8_t bytes[65536], answer[65536];
    size_t length = fread(bytes, 1, sizeof(bytes), stdin);
    struct mpw ok = {.bytes = answer, .room = sizeof(answer)};
    arena_reset();
    if (op_network((struct span){bytes, (uint32_t)length}, &ok) == 0)
        return 0;
    const struct failure *why = failure_last();
    printf("%d %s: %s\n", why->error, why->step, why->object);
    return 1;
}
