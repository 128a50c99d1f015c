#include "oom.h"

#include <fcntl.h>
#include <string.h>

#define VMSTAT_BYTES 16384u

static int fd = -1; /* kept open: each spawn reads it */

void oom_count_by(int counting_fd) {
    close_fd(&fd);
    fd = counting_fd;
}

static uint64_t of_machine(void) {
    static char text[VMSTAT_BYTES];
    if (fd < 0)
        fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
    if (length < 0)
        return 0;
    text[length] = '\0';
    const char *line = strstr(text, "\noom_kill ");
    return line == NULL ? 0 : strtoull(line + strlen("\noom_kill "), NULL, 10);
}

uint64_t oom_kills(const struct cgroup *cgroup) {
    _cleanup_free_ char *events = NULL;
    if (cgroup == NULL || cgroup->fd < 0 || read_text(cgroup->fd, "memory.events", CGROUP_FILE_BYTES, &events) < 0)
        return of_machine();
    return cgroup_value(events, "oom_kill");
}
