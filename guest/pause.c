#include "pause.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "child.h"

static const int ends[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

static int drop_privileges(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {0};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &header, none) < 0)
        return fail(errno, "capabilities", "pause");
    /* Nobody of the same pid namespace may look into what was the agent's memory. */
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? fail(errno, "dumpable", "pause") : 0;
}

static int close_stdio(void) {
    _cleanup_fd_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++)
        if (null_fd < 0 || dup2(null_fd, fd) < 0)
            return fail(errno, "stdio", "/dev/null");
    return 0;
}

static sigset_t awaited(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < COUNT(ends); i++)
        sigaddset(&set, ends[i]);
    return set;
}

_Noreturn void pause_run(int channel) {
    const sigset_t set = awaited();
    close_range((unsigned)channel + 1, ~0u, 0);
    /* Blocked ones are kept for us even as the first process of a pid namespace. */
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || setsid() < 0 || close_stdio() < 0 || drop_privileges() < 0)
        child_fail(channel);
    prctl(PR_SET_NAME, "pause", 0, 0, 0);
    close(channel);
    for (;;) {
        int number = sigwaitinfo(&set, NULL);
        if (number > 0 && number != SIGCHLD)
            _exit(0);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
}
