/* The least that a restored machine can answer: what comes on the first serial port goes back, byte by byte. */

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

int main(void) {
    mknod("/serial", S_IFCHR | 0600, makedev(4, 64));
    int fd = open("/serial", O_RDWR | O_NOCTTY);
    struct termios raw;
    tcgetattr(fd, &raw);
    cfmakeraw(&raw);
    cfsetspeed(&raw, B115200);
    tcsetattr(fd, TCSANOW, &raw);
    write(fd, "ready", 5);
    for (char byte; read(fd, &byte, 1) == 1;)
        write(fd, &byte, 1);
    for (;;)
        pause();
}
