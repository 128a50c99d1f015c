#include "members.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#define MOST_LOOKS 1000

uint64_t members_of(pid_t pid) {
    char path[48];
    struct stat status;
    snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
    return stat(path, &status) < 0 ? 0 : status.st_ino;
}

bool members_have(const struct container *container, pid_t pid) {
    return container->cgroup.fd >= 0 ? cgroup_has(&container->cgroup, pid) : members_of(pid) == container->members;
}

static bool signal_each(const struct container *container, int number) {
    DIR *proc = opendir("/proc");
    bool any = false;
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
        pid_t pid = (pid_t)strtoul(entry->d_name, NULL, 10);
        if (pid > 1 && members_have(container, pid))
            any |= kill(pid, number) == 0;
    }
    if (proc != NULL)
        closedir(proc);
    return any;
}

void members_signal(const struct container *container, int number) {
    if (number == SIGKILL && cgroup_kill(&container->cgroup) == 0)
        return;
    for (int i = 0; i < MOST_LOOKS; i++)
        if (!signal_each(container, number) || number != SIGKILL)
            return;
}
