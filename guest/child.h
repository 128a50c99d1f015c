/* Between the agent and a child that is not yet the program it is to become: one message each way at a time over
 * a SOCK_SEQPACKET pair, which exec closes. */
#pragma once

#include "failure.h"

enum report_kind {
    REPORT_END,      /* the pair was closed: exec succeeded */
    REPORT_READY,    /* a container's root is built; with the descriptors of struct root_kept */
    REPORT_TERMINAL, /* with the master's descriptor */
    REPORT_FAILURE,
};

struct report {
    enum report_kind kind;
    struct failure failure;
};

/* Makes a pair, both ends closed by exec. Returns 0 or -errno. */
int child_channel(int pair[2]);

/* The child's side. child_fail sends the failure that was last recorded and exits. */
int child_report(int fd, enum report_kind kind, const int *fds, size_t fd_count);
_Noreturn void child_fail(int fd);

/* The agent's side: waits for a report until `deadline_ms`. Up to `fd_count` passed descriptors go to `fds`, -1
 * for those that were not. Returns the kind, or -errno with the failure recorded: -ETIMEDOUT, or what the child
 * reported. */
int child_wait(int fd, int64_t deadline_ms, int *fds, size_t fd_count);

/* Sends `length` bytes in pieces, the descriptors with the first. Returns 0 or -errno. */
int child_send(int fd, const void *bytes, size_t length, const int *fds, size_t fd_count);

/* Receives what child_send sent into arena memory. Returns the length, or -errno; 0 when the other end is gone. */
ssize_t child_receive(int fd, uint8_t **bytes, int *fds, size_t fd_count);

/* Receives one message of at most `room` bytes, and up to `fd_count` descriptors with it, -1 for those that did not
 * come. Returns its length, or -errno; 0 when the other end is gone. */
ssize_t child_hear(int fd, void *bytes, size_t room, int *fds, size_t fd_count);

/* Signals as a program expects them, descriptors from `lowest_fd` on closed. */
void child_clean(unsigned lowest_fd);
