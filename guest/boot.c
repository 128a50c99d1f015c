#include "boot.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "card.h"
#include "module.h"
#include "network.h"
#include "power.h"
#include "translator.h"

#define PORT_MS 10000
#define PORT_POLL_NS 300000
#define PORTS "/sys/class/virtio-ports"

static const struct {
    const char *type, *target;
    unsigned long flags;
    const char *data;
} file_systems[] = {
    {"devtmpfs", "dev", MS_NOSUID, "mode=0755"},
    {"proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
    {"sysfs", "sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
};

static _Noreturn void give_up(const char *what) {
    say("%s: %s", what, strerror(errno));
    power_off(true);
}

/* pivot_root(2) refuses the initramfs, so that containers need the agent to live elsewhere: on a tmpfs moved over
 * the initramfs, which module.c keeps a descriptor of. */
static void leave_initramfs(void) {
    mkdir("/run", 0755);
    if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0 || chdir("/run") < 0)
        give_up("mount /run");
    for (size_t i = 0; i < COUNT(file_systems); i++) {
        mkdir(file_systems[i].target, 0755);
        if (mount(file_systems[i].type, file_systems[i].target, file_systems[i].type, file_systems[i].flags,
                  file_systems[i].data) < 0)
            give_up(file_systems[i].target);
    }
    mkdir("run", 0755);
    if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        give_up("leave the initramfs");
}

static bool has_name(const char *port, const char *name) {
    char path[300], text[64];
    snprintf(path, sizeof(path), PORTS "/%s/name", port);
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (length <= 0)
        return false;
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return strcmp(text, name) == 0;
}

static int find_port(const char *name) {
    DIR *ports = opendir(PORTS);
    int fd = -1;
    for (struct dirent *entry; fd < 0 && ports != NULL && (entry = readdir(ports)) != NULL;) {
        char path[300];
        if (entry->d_name[0] == '.' || !has_name(entry->d_name, name))
            continue;
        snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
        fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    }
    if (ports != NULL)
        closedir(ports);
    return fd;
}

/* The port shows up some time after its driver: QEMU first has to answer it. */
static int await_port(const char *name) {
    const struct timespec pause = {.tv_nsec = PORT_POLL_NS};
    int64_t deadline = now_ms() + PORT_MS;
    for (;;) {
        int fd = find_port(name);
        if (fd >= 0)
            return fd;
        if (now_ms() > deadline) {
            errno = ENOENT;
            give_up("virtio-serial port");
        }
        nanosleep(&pause, NULL);
    }
}

/* What is set for the whole machine before anything runs, so that no start has to. */
static const struct {
    const char *path, *value;
} settings[] = {
    /* A network stack of the machine's own: no privilege protects a low port or a ping in it. */
    {"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"},
    {"/proc/sys/net/ipv4/ping_group_range", "0 2147483647"},
    /* A virtual disk is ordered and slowed down by its host, if at all. */
    {"/sys/block/vda/queue/scheduler", "none"},
    {"/sys/block/vda/queue/wbt_lat_usec", "0"},
};

static void apply_settings(void) {
    for (size_t i = 0; i < COUNT(settings); i++) {
        int error = write_text(AT_FDCWD, settings[i].path, settings[i].value);
        if (error < 0 && error != -ENOENT) /* a machine without this device */
            say("%s: %s", settings[i].path, strerror(-error));
    }
}

int boot_machine(const char *port_name, uint32_t cards) {
    modules_open();
    leave_initramfs();
    fill_standard_fds();
    say_to_kernel_log();
    modules_load_listed();
    cards_begin(cards);
    translators_register();
    apply_settings();
    network_bring_up("lo");
    /* What brings a card up is done once in a template, and not again in each of its forks. */
    network_bring_up("eth0");
    return await_port(port_name);
}
