#include "ps.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

#include "container.h"
#include "members.h"

#define ROWS_BYTES (MAX_CONTROL_BYTES - 4096u)
#define MOST_ROWS 4096u
#define ARGS_BYTES 65536u
#define STAT_BYTES 4096u
#define READ_MS 5000
#define PTS_MAJOR 136u
#define USER_HZ 100u /* of every Linux that runs here */
#define NAME_BYTES 32u

/* ---- in a child inside the pid namespace ---- */

struct stat_line {
    char state;
    long ppid, rss_pages;
    unsigned tty;
    unsigned long long utime, stime, start, vsz_bytes;
};

/* The name, between parentheses, may hold anything; what counts comes behind the last of them. */
static bool parse_stat(const char *text, struct stat_line *stat) {
    const char *at = strrchr(text, ')');
    return at != NULL && sscanf(at + 1,
                                " %c %ld %*d %*d %u %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu"
                                " %llu %ld",
                                &stat->state, &stat->ppid, &stat->tty, &stat->utime, &stat->stime, &stat->start,
                                &stat->vsz_bytes, &stat->rss_pages) == 8;
}

static unsigned effective_id(const char *status, const char *key) {
    unsigned id = 0;
    const char *line = strstr(status, key);
    if (line != NULL)
        sscanf(line + strlen(key), "%*u %u", &id);
    return id;
}

static void put_number(struct mpw *w, const char *key, uint64_t value) {
    mpw_string(w, key);
    mpw_unsigned(w, value);
}

static void put_text(struct mpw *w, const char *key, const char *text) {
    mpw_string(w, key);
    mpw_lossy(w, text, strlen(text));
}

/* How long it has lived: what counts the time since the boot is as old as that. */
static uint64_t age_ticks(unsigned long long start) {
    struct timespec now = {0};
    clock_gettime(CLOCK_BOOTTIME, &now);
    uint64_t ticks = (uint64_t)now.tv_sec * USER_HZ + (uint64_t)now.tv_nsec / (1000000000u / USER_HZ);
    return ticks > start ? ticks - start : 0;
}

/* Its name as the kernel has it, which is of 15 bytes at most. */
static void take_name(const char *stat, char name[NAME_BYTES]) {
    const char *open = strchr(stat, '('), *close = strrchr(stat, ')');
    int bytes = open == NULL || close == NULL ? 0 : (int)(close - open - 1);
    snprintf(name, NAME_BYTES, "%.*s", MIN(bytes, (int)NAME_BYTES - 1), bytes > 0 ? open + 1 : "");
}

/* cmdline's strings; a kernel thread or a zombie has none and shows its name in brackets, as ps does. */
static void put_args(struct mpw *w, const char *args, ssize_t length, const char *name) {
    mpw_string(w, "args");
    if (length <= 0) {
        char bracketed[NAME_BYTES + 2];
        snprintf(bracketed, sizeof(bracketed), "[%s]", name);
        mpw_array(w, 1);
        mpw_lossy(w, bracketed, strlen(bracketed));
        return;
    }
    uint32_t count = 0;
    size_t opened = mpw_open_array(w);
    for (ssize_t at = 0; at < length; count++) {
        size_t bytes = strnlen(args + at, (size_t)(length - at));
        mpw_lossy(w, args + at, bytes);
        at += (ssize_t)bytes + 1;
    }
    mpw_patch_array(w, opened, count);
}

static void put_row(struct mpw *w, unsigned long pid, const char *stat_text, const struct stat_line *stat,
                    const char *status) {
    char tty[16] = "?";
    if (major(stat->tty) == PTS_MAJOR)
        snprintf(tty, sizeof(tty), "pts/%u", minor(stat->tty));
    char path[48], name[NAME_BYTES];
    _cleanup_free_ char *args = NULL;
    snprintf(path, sizeof(path), "/proc/%lu/cmdline", pid);
    /* Of a longer command line nothing is shown but the name: a bound is a bound. */
    ssize_t length = read_text(AT_FDCWD, path, ARGS_BYTES, &args);
    take_name(stat_text, name);
    mpw_map(w, 14);
    put_number(w, "pid", pid);
    put_number(w, "ppid", (uint64_t)stat->ppid);
    put_number(w, "uid", effective_id(status, "\nUid:"));
    put_number(w, "gid", effective_id(status, "\nGid:"));
    put_text(w, "state", (const char[]){stat->state, '\0'});
    put_number(w, "utime_ticks", stat->utime);
    put_number(w, "stime_ticks", stat->stime);
    put_number(w, "start_ticks", stat->start);
    put_number(w, "age_ticks", age_ticks(stat->start));
    put_number(w, "vsz_bytes", stat->vsz_bytes);
    put_number(w, "rss_bytes", (uint64_t)stat->rss_pages * (uint64_t)sysconf(_SC_PAGESIZE));
    put_text(w, "tty", tty);
    put_text(w, "comm", name);
    put_args(w, args, length, name);
}

static bool put_process(struct mpw *w, unsigned long pid) {
    char path[48];
    _cleanup_free_ char *stat_text = NULL;
    _cleanup_free_ char *status = NULL;
    struct stat_line stat;
    snprintf(path, sizeof(path), "/proc/%lu/stat", pid);
    if (read_text(AT_FDCWD, path, STAT_BYTES, &stat_text) < 0)
        return false; /* it ended while we looked */
    snprintf(path, sizeof(path), "/proc/%lu/status", pid);
    if (read_text(AT_FDCWD, path, STAT_BYTES, &status) < 0 || !parse_stat(stat_text, &stat))
        return false;
    put_row(w, pid, stat_text, &stat, status);
    return true;
}

/* Of a container that shares its pid namespace, only its own. */
static void put_processes(struct mpw *w, const struct container *container) {
    bool shared = container != NULL && container->members != 0;
    DIR *proc = opendir("/proc");
    size_t opened = mpw_open_array(w);
    uint32_t count = 0;
    struct dirent *entry;
    while (proc != NULL && count < MOST_ROWS && (entry = readdir(proc)) != NULL) {
        unsigned long pid = strtoul(entry->d_name, NULL, 10);
        if (pid == 0 || pid == (unsigned long)getpid() || (shared && !members_have(container, (pid_t)pid)))
            continue;
        if (put_process(w, pid))
            count++;
    }
    mpw_patch_array(w, opened, count);
}

/* A fresh procfs, whatever the container made of its own: it shows this pid namespace and those inside it. */
static int mount_own_proc(void) {
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ? -errno : 0;
}

static _Noreturn void list_processes(const struct container *container, int out_fd) {
    struct mpw w = {.bytes = malloc(ROWS_BYTES), .room = ROWS_BYTES};
    if (w.bytes == NULL || (container != NULL && mount_own_proc() < 0))
        _exit(1);
    put_processes(&w, container);
    for (size_t at = 0; !w.overflow && at < w.length;) {
        ssize_t written = write(out_fd, w.bytes + at, w.length - at);
        if (written < 0)
            _exit(1);
        at += (size_t)written;
    }
    _exit(w.overflow);
}

/* ---- in the agent ---- */

/* Reads until the child closes its end. Looking at a process may block on what that process maps: hence the
 * deadline. Returns the length or -errno. */
static ssize_t read_rows(int fd, uint8_t *rows) {
    int64_t deadline = now_ms() + READ_MS;
    size_t length = 0;
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - now_ms();
        if (left <= 0 || poll(&poll_fd, 1, (int)left) <= 0)
            return -ETIMEDOUT;
        ssize_t got = read(fd, rows + length, ROWS_BYTES - length);
        if (got < 0)
            return -errno;
        length += (size_t)got;
        if (got == 0 || length == ROWS_BYTES)
            return (ssize_t)length;
    }
}

static ssize_t run_child(const struct container *container, uint8_t *rows) {
    int ends[2], status = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    _cleanup_fd_ int ours = ends[0];
    _cleanup_fd_ int theirs = ends[1];
    pid_t pid = container == NULL ? fork() : container_fork(container, false);
    if (pid < 0)
        return -errno;
    if (pid == 0)
        list_processes(container, theirs);
    close_fd(&theirs);
    ssize_t length = read_rows(ours, rows);
    if (length < 0)
        kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return length >= 0 && status != 0 ? -EIO : length;
}

struct ps_request {
    char *container;
};

static const struct field ps_fields[] = {REQUEST_FIELDS, NEED(ps_request, container, FIELD_STRING)};

int op_ps(struct span request, struct mpw *ok) {
    struct mp mp = mp_over(request);
    struct ps_request wanted;
    int error = fields_decode(&mp, ps_fields, COUNT(ps_fields), &wanted);
    if (error < 0)
        return error;
    const struct container *container = container_find(wanted.container);
    if (wanted.container[0] != '\0' && container == NULL)
        return fail(ENOENT, "ps", "container %s", wanted.container);
    if (container != NULL && container->ended)
        return fail(ESRCH, "ps", "container %s has ended", wanted.container);
    _cleanup_free_ uint8_t *rows = malloc(ROWS_BYTES);
    ssize_t length = rows == NULL ? -ENOMEM : run_child(container, rows);
    if (length < 0)
        return fail((int)-length, "ps", "container %s", wanted.container);
    mpw_map(ok, 1);
    mpw_string(ok, "processes");
    mpw_raw(ok, rows, (size_t)length);
    return 0;
}
