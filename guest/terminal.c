#include "terminal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>

#include "child.h"

int terminal_resize(int fd, const struct window *window) {
    struct winsize size = {
        .ws_row = (unsigned short)MIN(window->rows, 65535u),
        .ws_col = (unsigned short)MIN(window->cols, 65535u),
    };
    return ioctl(fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

static void mount_machine_devpts(void) {
    /* A second time it finds the same instance; what fails here fails again, with a name, at the open. */
    mkdir("/dev/pts", 0755);
    mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0620,ptmxmode=0666");
}

/* runc and systemd know it: PID 1 of a container finds its terminal at /dev/console. */
static void bind_console(int slave_fd) {
    char path[32];
    int fd = open("/dev/console", O_CREAT | O_WRONLY | O_CLOEXEC | O_NOCTTY, 0600);
    close_fd(&fd);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", slave_fd);
    mount(path, "/dev/console", NULL, MS_BIND, NULL);
}

int terminal_take(const struct window *window, bool machine, bool console, int channel) {
    if (machine)
        mount_machine_devpts();
    _cleanup_fd_ int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    int unlocked = 0;
    if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) < 0)
        return fail(errno, "terminal", "/dev/ptmx");
    _cleanup_fd_ int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 || terminal_resize(slave, window) < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
        return fail(errno, "terminal", "its slave");
    if (console && !machine)
        bind_console(slave);
    for (int fd = 0; fd < 3; fd++)
        if (dup2(slave, fd) < 0)
            return fail(errno, "terminal", "descriptor %d", fd);
    int error = child_report(channel, REPORT_TERMINAL, &master, 1);
    return error < 0 ? fail(-error, "terminal", "its master") : 0;
}
