#include "watch.h"

#include <sys/epoll.h>

#define EVENTS_AT_ONCE 64

static int epoll_fd = -1;

int watch_init(void) {
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return epoll_fd < 0 ? -errno : 0;
}

int watch_add(int fd, struct watch *watch) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = watch};
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void watch_remove(int fd) {
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

bool watch_wait(int timeout_ms) {
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(epoll_fd, events, EVENTS_AT_ONCE, timeout_ms);
    for (int i = 0; i < count; i++) {
        /* A watch may belong to a pool slot that an earlier event of this round gave back: its owner checks. */
        struct watch *watch = events[i].data.ptr;
        watch->ready(watch, events[i].events);
    }
    return count > 0;
}
