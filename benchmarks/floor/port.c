/* The least at the end of a virtio-serial port: takes so many bytes, or gives so many, as it is asked by eight bytes
 * (little-endian; the highest bit: give), and says when it has taken them. Reads and writes are of 64 KiB. */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define GIVE (1ull << 63)

static char bytes[1 << 16];

static void load(const char *name) {
    char path[96];
    snprintf(path, sizeof(path), "/modules/%s.ko", name);
    int fd = open(path, O_RDONLY);
    syscall(SYS_finit_module, fd, "", 0);
    close(fd);
}

static void load_listed(void) {
    FILE *list = fopen("/modules.list", "r");
    char name[64];
    while (list != NULL && fscanf(list, "%63s", name) == 1)
        load(name);
}

static int open_port(void) {
    const struct timespec pause = {.tv_nsec = 1000000};
    int fd;
    while ((fd = open("/dev/vport0p1", O_RDWR)) < 0)
        nanosleep(&pause, NULL);
    return fd;
}

/* A port reads as ended until its host is there. */
static ssize_t take(int fd, void *into, size_t most) {
    ssize_t got;
    while ((got = read(fd, into, most)) <= 0)
        ;
    return got;
}

static void serve(int fd, uint64_t asked) {
    uint64_t left = asked & ~GIVE;
    while (left > 0) {
        size_t most = left < sizeof(bytes) ? left : sizeof(bytes);
        ssize_t done = asked & GIVE ? write(fd, bytes, most) : take(fd, bytes, most);
        left -= done > 0 ? (uint64_t)done : 0;
    }
    if (!(asked & GIVE))
        write(fd, "!", 1);
}

int main(void) {
    mkdir("/dev", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    load_listed();
    int fd = open_port();
    write(fd, "!", 1);
    for (;;) {
        uint64_t asked;
        size_t got = 0;
        while (got < sizeof(asked))
            got += (size_t)take(fd, (char *)&asked + got, sizeof(asked) - got);
        serve(fd, asked);
    }
}
