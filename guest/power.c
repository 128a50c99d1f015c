#include "power.h"

#include <signal.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>

#include "container.h"
#include "freeze.h"
#include "hold.h"
#include "store.h"

#define DEBUG_EXIT_PORT 0x501
#define KILL_MS 2000

static bool machine_owned;

void power_own_machine(bool owned) {
    machine_owned = owned;
}

/* With the last process of a container, its mount namespace and so its file systems go. */
static void kill_everything(void) {
    const struct timespec pause = {.tv_nsec = 1000000};
    int64_t deadline = now_ms() + KILL_MS;
    hold_end();
    freeze_end_all();
    kill(-1, SIGKILL);
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 || now_ms() > deadline)
            return;
        if (pid == 0)
            nanosleep(&pause, NULL);
    }
}

_Noreturn void power_off(bool machine) {
    if (!machine)
        _exit(0);
    if (ioperm(DEBUG_EXIT_PORT, 1, 1) == 0)
        outb(0, DEBUG_EXIT_PORT);
    reboot(RB_AUTOBOOT);
    for (;;)
        pause();
}

int op_sync(struct span request, struct mpw *ok) {
    (void)ok;
    static const struct field fields[] = {REQUEST_FIELDS};
    struct mp mp = mp_over(request);
    int error = fields_decode(&mp, fields, COUNT(fields), NULL);
    if (error == 0)
        sync();
    return error;
}

struct poweroff_request {
    bool sync;
};

static const struct field poweroff_fields[] = {REQUEST_FIELDS, NEED(poweroff_request, sync, FIELD_BOOL)};

int op_poweroff(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct poweroff_request wanted;
    int error = fields_decode(&mp, poweroff_fields, COUNT(poweroff_fields), &wanted);
    if (error < 0)
        return error;
    if (wanted.sync) {
        kill_everything();
        containers_unmount(true);
        store_end();
        if (machine_owned)
            sync(); /* else the kernel is the host's, which goes on */
    }
    power_off(machine_owned);
}
