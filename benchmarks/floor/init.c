/* The least that a machine can do: one byte to the debug console (port 0xE9), then power off through
 * isa-debug-exit (port 0x501), as the guest agent does. */

#include <sys/io.h>
#include <unistd.h>

int main(void) {
    if (iopl(3) == 0) {
        outb('!', 0xe9);
        outb(0, 0x501);
    }
    for (;;)
        pause();
}
