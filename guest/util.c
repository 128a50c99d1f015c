#include "util.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static int kernel_log_fd = -1;

void say_to_kernel_log(void) {
    kernel_log_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
}

void say(const char *format, ...) {
    /* Level 3, since `quiet` hides everything from 4 on. */
    char line[512] = "<3>firkin-agent: ";
    size_t skip = kernel_log_fd < 0 ? 3 : 0, start = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(line + start, sizeof(line) - start - 1, format, arguments);
    va_end(arguments);
    size_t length = MIN(start + (size_t)(written < 0 ? 0 : written), sizeof(line) - 2);
    line[length++] = '\n';
    ssize_t ignored = write(kernel_log_fd < 0 ? 2 : kernel_log_fd, line + skip, length - skip);
    (void)ignored; /* there is nobody else to tell */
}

int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int write_text(int dir_fd, const char *path, const char *text) {
    _cleanup_fd_ int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t length = strlen(text);
    ssize_t written = write(fd, text, length);
    if (written < 0)
        return -errno;
    return (size_t)written == length ? 0 : -EIO;
}

int overwrite(int fd, const void *bytes, size_t length) {
    ssize_t written = pwrite(fd, bytes, length, 0);
    if (written < 0 || (size_t)written != length)
        return written < 0 ? -errno : -ENOSPC;
    return ftruncate(fd, (off_t)length) < 0 ? -errno : 0;
}

static ssize_t read_up_to(int fd, char *buffer, size_t limit) {
    size_t length = 0;
    while (length < limit) {
        ssize_t got = read(fd, buffer + length, limit - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    return (ssize_t)length;
}

ssize_t read_text(int dir_fd, const char *path, size_t limit, char **text) {
    _cleanup_fd_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    /* One byte more than allowed tells a longer file; files of /proc say 0, so ask for the limit then. */
    size_t room = status.st_size > 0 ? MIN((size_t)status.st_size, limit) + 1 : limit + 1;
    _cleanup_free_ char *buffer = malloc(room + 1);
    if (buffer == NULL)
        return -ENOMEM;
    ssize_t length = read_up_to(fd, buffer, room);
    if (length < 0)
        return length;
    if ((size_t)length > limit)
        return -EFBIG;
    buffer[length] = '\0';
    *text = buffer;
    buffer = NULL;
    return length;
}

void fill_standard_fds(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < 3);
    if (fd >= 3)
        close(fd);
}
