/* Says when the clock jumped, what it had counted by then, and eight random bytes that it asked for next.
 *
 *     witness PROCESSES
 *
 * Each process counts as fast as it can, and writes `number count random` for every jump of more than a second. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static void watch(int number) {
    struct timespec last, now;
    uint64_t count = 0, random;
    clock_gettime(CLOCK_REALTIME, &last);
    for (;;) {
        count++;
        clock_gettime(CLOCK_REALTIME, &now);
        if (now.tv_sec - last.tv_sec > 1) {
            if (getrandom(&random, sizeof(random), 0) != sizeof(random))
                abort();
            dprintf(1, "%d %llu %016llx\n", number, (unsigned long long)count, (unsigned long long)random);
        }
        last = now;
    }
}

int main(int count, char **arguments) {
    int processes = count > 1 ? atoi(arguments[1]) : 1;
    dprintf(1, "watching\n");
    for (int number = 1; number < processes; number++)
        if (fork() == 0)
            watch(number);
    watch(0);
}
