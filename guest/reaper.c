#include "reaper.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* A fault of our own must end us, so nobody waits for its signal. */
static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

static void block_signals(sigset_t *blocked) {
    sigfillset(blocked);
    for (size_t i = 0; i < COUNT(faults); i++)
        sigdelset(blocked, faults[i]);
    sigprocmask(SIG_SETMASK, blocked, NULL);
}

int reaper_exec(pid_t pid) {
    char number[16];
    sigset_t blocked;
    /* The kernel drops what PID 1 neither handles nor blocks; blocked, it waits for the next program. */
    block_signals(&blocked);
    snprintf(number, sizeof(number), "%d", pid);
    execve("/proc/self/exe", (char *[]){REAPER_NAME, number, NULL}, (char *[]){NULL});
    return -errno;
}

static int exit_code(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void reap(pid_t program) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == program)
            _exit(exit_code(status));
    if (pid < 0 && errno == ECHILD)
        _exit(1); /* the program is no child of ours: nothing to be here for */
}

void reaper_run(char **arguments) {
    sigset_t blocked;
    if (arguments[0] == NULL || strcmp(arguments[0], REAPER_NAME) != 0 || arguments[1] == NULL)
        return;
    pid_t program = atoi(arguments[1]);
    if (program <= 1)
        _exit(2);
    block_signals(&blocked);
    /* Whoever is the same user must neither trace us nor open our binary through us. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NAME, REAPER_NAME, 0, 0, 0);
    for (;;) {
        reap(program); /* first, since it may have ended before we were here */
        int number = sigwaitinfo(&blocked, NULL);
        if (number > 0 && number != SIGCHLD)
            kill(program, number);
    }
}
