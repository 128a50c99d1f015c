#include "pids.h"

#include <sched.h>
#include <string.h>
#include <sys/pidfd.h>

static int own_pidfd = -1;

int pids_enter(int pidfd) {
    if (own_pidfd < 0)
        own_pidfd = pidfd_open(getpid(), 0);
    return own_pidfd < 0 || setns(pidfd, CLONE_NEWPID) < 0 ? -errno : 0;
}

void pids_leave(void) {
    int kept = errno;
    if (setns(own_pidfd, CLONE_NEWPID) < 0)
        say("cannot return to the machine's pid namespace: %s", strerror(errno));
    errno = kept;
}
