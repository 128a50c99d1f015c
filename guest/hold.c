#include "hold.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "fields.h"
#include "identity.h"

#define OUR_PRIORITY 51
#define SPINNER_PRIORITY 50
#define STACK_BYTES 16384ul
#define START_TRIES 5000
#define START_WAIT_NS 200000
/* How much of a second real-time processes may take; -1 is all of it. */
#define THROTTLE "/proc/sys/kernel/sched_rt_runtime_us"

static atomic_uint running; /* spinners that hold their processor */
static atomic_bool over;
static pid_t spinners[CPU_SETSIZE];
static size_t spinner_count;
static bool held;
static char throttle[16];

static void set_policy(int policy, int priority) {
    const struct sched_param wanted = {.sched_priority = priority};
    if (sched_setscheduler(0, policy, &wanted) < 0)
        say("cannot be scheduled as %d: %s", policy, strerror(errno));
}

/* Swaps the content of THROTTLE: what a kernel without it cannot be told, it does not need to be. */
static void set_throttle(const char *wanted, char *before, size_t room) {
    _cleanup_fd_ int fd = open(THROTTLE, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t got = before == NULL ? 0 : pread(fd, before, room - 1, 0);
    if (before != NULL)
        before[got < 0 ? 0 : got] = '\0';
    if (wanted[0] != '\0' && pwrite(fd, wanted, strlen(wanted), 0) < 0)
        say("cannot write %s to " THROTTLE ": %s", wanted, strerror(errno));
}

static int spin(void *where) {
    int cpu = (int)(intptr_t)where;
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    const struct sched_param priority = {.sched_priority = SPINNER_PRIORITY};
    if (sched_setaffinity(0, sizeof(own), &own) < 0 || sched_setscheduler(0, SCHED_FIFO, &priority) < 0)
        _exit(1);
    atomic_fetch_add(&running, 1);
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while (!atomic_load(&over) && now.tv_sec - end.tv_sec < HOLD_LONGEST_S);
    _exit(0);
}

/* In our own memory: every fork of this machine ends its spinners, and so has no memory of theirs to take down. */
static pid_t start_spinner(int cpu) {
    static char *stacks;
    if (stacks == NULL) {
        void *room = mmap(NULL, CPU_SETSIZE * STACK_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (room == MAP_FAILED)
            return -1;
        stacks = room;
    }
    return clone(spin, stacks + (size_t)(cpu + 1) * STACK_BYTES, CLONE_VM | SIGCHLD, (void *)(intptr_t)cpu);
}

/* One for each processor. They begin with our priority, so that they run before whatever they are to hold. */
static int start_spinners(void) {
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
        return fail(errno, "hold", "the processors");
    spinner_count = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &cpus))
            continue;
        pid_t pid = start_spinner(cpu);
        if (pid < 0)
            return fail(errno, "hold", "processor %d", cpu);
        spinners[spinner_count++] = pid;
    }
    return 0;
}

static int wait_for_spinners(void) {
    const struct timespec moment = {.tv_nsec = START_WAIT_NS};
    for (int try = 0; try < START_TRIES; try++) {
        if (atomic_load(&running) == spinner_count)
            return 0;
        nanosleep(&moment, NULL);
    }
    return fail(ETIMEDOUT, "hold", "%zu processors", spinner_count);
}

void hold_end(void) {
    if (!held)
        return;
    held = false;
    atomic_store(&over, true);
    for (size_t i = 0; i < spinner_count; i++)
        kill(spinners[i], SIGKILL); /* reaped as any child */
    set_throttle(throttle, NULL, 0);
    set_policy(SCHED_BATCH | SCHED_RESET_ON_FORK, 0);
}

static const struct field no_fields[] = {REQUEST_FIELDS};

static int check_fields(struct span request) {
    struct mp mp = mp_over(request);
    char nothing;
    return fields_decode(&mp, no_fields, COUNT(no_fields), &nothing);
}

int op_hold(struct span request, struct mpw *ok) {
    (void)ok;
    int error = check_fields(request);
    if (error < 0 || held)
        return error;
    identity_look_ahead();
    atomic_store(&running, 0);
    atomic_store(&over, false);
    held = true;
    set_throttle("-1", throttle, sizeof(throttle));
    set_policy(SCHED_FIFO, OUR_PRIORITY);
    error = start_spinners();
    set_policy(SCHED_FIFO | SCHED_RESET_ON_FORK, OUR_PRIORITY);
    if (error == 0)
        error = wait_for_spinners();
    if (error < 0)
        hold_end();
    return error;
}

int op_release(struct span request, struct mpw *ok) {
    (void)ok;
    int error = check_fields(request);
    if (error == 0)
        hold_end();
    return error;
}
