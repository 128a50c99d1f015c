/* Serves one op outside the agent: each request on its standard input, behind its length (u32), goes to
 * op_network, and a line tells what the agent would answer: nothing, or the errno, the step and the object.
 * tests/guest/test_network.py runs it in a network namespace and lets iproute2 judge.
 * An empty request stands for the start of a program. */
#include <stdio.h>

#include "../network.h"

static void serve(struct span request) {
    static uint8_t answer[65536];
    struct mpw ok = {.bytes = answer, .room = sizeof(answer)};
    const struct failure *why = failure_last();
    arena_reset();
    if (op_network(request, &ok) == 0)
        puts("");
    else
        printf("%d %s: %s\n", why->error, why->step, why->object);
    fflush(stdout);
}

int main(void) {
    static uint8_t bytes[65536];
    uint32_t length;
    network_bring_up("eth0");
    puts("up");
    fflush(stdout);
    while (fread(&length, sizeof(length), 1, stdin) == 1 && length <= sizeof(bytes) &&
           fread(bytes, 1, length, stdin) == length) {
        if (length == 0)
            network_open_to_others();
        else
            serve((struct span){bytes, length});
    }
    return 0;
}
