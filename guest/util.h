/* What every file of the agent uses: clean-up by attribute, clamped numbers, one line to the console.
 *
 * The rule of the whole agent: a function returns a value or -errno, and PID 1 never exits on a bad request. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_fd_ _cleanup_(close_fd)
#define _cleanup_free_ _cleanup_(free_pointer)
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

static inline void close_fd(int *fd) {
    if (*fd >= 0) {
        int kept = errno;
        close(*fd);
        errno = kept;
    }
    *fd = -1;
}

static inline int steal_fd(int *fd) {
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

static inline void free_pointer(void *pointer) {
    free(*(void **)pointer);
}

/* One plain line, `firkin-agent: ...`, where the host looks when something failed. */
void say(const char *format, ...) _printf_(1, 2);

/* From now on say() writes to the kernel's log, which reaches whatever console the machine has. */
void say_to_kernel_log(void);

/* Milliseconds of CLOCK_MONOTONIC, for deadlines. */
int64_t now_ms(void);

/* Writes all of `text` to `path` relative to `dir_fd`. Returns 0 or -errno. */
int write_text(int dir_fd, const char *path, const char *text);

/* Makes `length` bytes the whole content of the file `fd`, in place: who has it open or mounted sees them, and
 * never an empty file. Returns 0 or -errno. */
int overwrite(int fd, const void *bytes, size_t length);

/* Reads at most `limit` bytes of the regular file `path` into memory that the caller frees, with a NUL behind.
 * Returns the length or -errno; -EFBIG where the file is longer. Never blocks on a FIFO put in its place. */
ssize_t read_text(int dir_fd, const char *path, size_t limit, char **text);

/* Opens `dir_fd`'s `path` for every number below 3 that is closed, so that none of our own lands there. */
void fill_standard_fds(void);
