#include "child.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "fields.h"

#define PIECE_BYTES 65536u
#define MOST_FDS 17u

union fd_control {
    struct cmsghdr header;
    char room[CMSG_SPACE(MOST_FDS * sizeof(int))];
};

int child_channel(int pair[2]) {
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
}

static ssize_t send_with_fds(int fd, const void *bytes, size_t length, const int *fds, size_t fd_count) {
    union fd_control control = {0};
    struct iovec iov = {(void *)bytes, length};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd_count > 0) {
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        control.header = (struct cmsghdr){CMSG_LEN(fd_count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

static ssize_t receive_with_fds(int fd, void *bytes, size_t room, int *fds, size_t fd_count) {
    union fd_control control = {0};
    struct iovec iov = {bytes, room};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
                             .msg_controllen = CMSG_SPACE(fd_count * sizeof(int))};
    ssize_t got;
    do
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header != NULL && header->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(header), MIN(header->cmsg_len - CMSG_LEN(0), fd_count * sizeof(int)));
    return got < 0 ? -errno : got;
}

int child_report(int fd, enum report_kind kind, const int *fds, size_t fd_count) {
    struct report report = {.kind = kind, .failure = *failure_last()};
    ssize_t sent = send_with_fds(fd, &report, sizeof(report), fds, fd_count);
    return sent < 0 ? (int)sent : 0;
}

_Noreturn void child_fail(int fd) {
    child_report(fd, REPORT_FAILURE, NULL, 0);
    _exit(127);
}

int child_wait(int fd, int64_t deadline_ms, int *fds, size_t fd_count) {
    struct report report;
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int64_t left = deadline_ms - now_ms();
    int ready;
    for (size_t i = 0; i < fd_count; i++)
        fds[i] = -1;
    do
        ready = poll(&poll_fd, 1, left > 0 ? (int)left : 0);
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        return fail(ETIMEDOUT, "start", "the process");
    ssize_t got = receive_with_fds(fd, &report, sizeof(report), fds, fd_count);
    if (got == 0 || got == -ECONNRESET)
        return REPORT_END;
    if (got != sizeof(report))
        return fail(got < 0 ? (int)-got : EPROTO, "start", "the process");
    return report.kind == REPORT_FAILURE ? fail_again(&report.failure) : (int)report.kind;
}

int child_send(int fd, const void *bytes, size_t length, const int *fds, size_t fd_count) {
    uint32_t total = (uint32_t)length;
    ssize_t sent = send_with_fds(fd, &total, sizeof(total), fds, fd_count);
    for (size_t at = 0; sent >= 0 && at < length; at += (size_t)sent)
        sent = send_with_fds(fd, (const uint8_t *)bytes + at, MIN(length - at, (size_t)PIECE_BYTES), NULL, 0);
    return sent < 0 ? (int)sent : 0;
}

ssize_t child_receive(int fd, uint8_t **bytes, int *fds, size_t fd_count) {
    uint32_t total;
    ssize_t got = receive_with_fds(fd, &total, sizeof(total), fds, fd_count);
    if (got != sizeof(total))
        return got < 0 ? got : 0;
    *bytes = arena_alloc(total, 1);
    if (*bytes == NULL)
        return -E2BIG;
    for (size_t at = 0; at < total; at += (size_t)got) {
        got = receive_with_fds(fd, *bytes + at, total - at, NULL, 0);
        if (got <= 0)
            return got;
    }
    return (ssize_t)total;
}

ssize_t child_hear(int fd, void *bytes, size_t room, int *fds, size_t fd_count) {
    for (size_t i = 0; i < fd_count; i++)
        fds[i] = -1;
    return receive_with_fds(fd, bytes, room, fds, fd_count);
}

void child_clean(unsigned lowest_fd) {
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close_range(lowest_fd, ~0u, 0);
}
