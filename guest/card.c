#include "card.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define BUS "/sys/bus/virtio"
#define DRIVER BUS "/drivers/" CARD_DRIVER
#define ID_NET "0x0001" /* VIRTIO_ID_NET */
#define MOST_DEVICES 64
#define PATH_BYTES 96

/* ---- devices ---- */

/* Whether virtio device `device` is a card; -ENOENT where there is none of that number. */
static int is_card(int device) {
    char path[PATH_BYTES], id[sizeof(ID_NET)] = "";
    snprintf(path, sizeof(path), BUS "/devices/virtio%d/device", device);
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, id, sizeof(id) - 1) < 0)
        return -errno;
    return strcmp(id, ID_NET) == 0;
}

static int find_device(uint32_t number) {
    int found = 0;
    for (int device = 0; device < MOST_DEVICES && found >= 0; device++) {
        found = is_card(device);
        if (found > 0 && number-- == 0)
            return device;
    }
    return -ENODEV;
}

/* The name of its interface, "" where it has no driver now. */
static void find_interface(int device, char name[IFNAMSIZ]) {
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), BUS "/devices/virtio%d/net", device);
    DIR *interfaces = opendir(path);
    name[0] = '\0';
    for (struct dirent *entry; interfaces != NULL && (entry = readdir(interfaces)) != NULL;)
        if (entry->d_name[0] != '.' && strlen(entry->d_name) < IFNAMSIZ)
            strcpy(name, entry->d_name);
    if (interfaces != NULL)
        closedir(interfaces);
}

static int tell_driver(const char *path, int device) {
    char name[24];
    snprintf(name, sizeof(name), "virtio%d", device);
    return write_text(AT_FDCWD, path, name);
}

/* ---- their interfaces ---- */

/* Only an interface that is down gets another name. */
static int rename_interface(const char *from, const char *to) {
    struct ifreq request = {0};
    _cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    strcpy(request.ifr_name, from);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        return -errno;
    request.ifr_flags &= (short)~IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return -errno;
    strcpy(request.ifr_newname, to);
    return ioctl(fd, SIOCSIFNAME, &request) < 0 ? -errno : 0;
}

/* A card has no IPv6 until it gets an address of it: else its own are made and asked around for. */
static void no_six(const char *interface) {
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", interface);
    write_text(AT_FDCWD, path, "1"); /* else this kernel has no IPv6 */
}

int card_take(uint32_t number, const char *interface) {
    char name[IFNAMSIZ];
    int device = find_device(number);
    if (device < 0)
        return device;
    if (strlen(interface) >= IFNAMSIZ)
        return -EINVAL;
    find_interface(device, name);
    if (strcmp(name, interface) == 0)
        return 0;
    if (name[0] == '\0') {
        int error = tell_driver(DRIVER "/bind", device);
        if (error < 0)
            return error;
        find_interface(device, name);
        no_six(name);
    }
    return strcmp(name, interface) == 0 ? 0 : rename_interface(name, interface);
}

int card_leave(uint32_t number, unsigned *index) {
    char name[IFNAMSIZ];
    int device = find_device(number);
    *index = 0;
    if (device < 0)
        return device;
    find_interface(device, name);
    if (name[0] == '\0')
        return 0;
    *index = if_nametoindex(name);
    return tell_driver(DRIVER "/unbind", device);
}

/* ---- the boot ---- */

void cards_probe(bool probed) {
    int error = write_text(AT_FDCWD, BUS "/drivers_autoprobe", probed ? "1" : "0");
    if (error < 0)
        say("drivers_autoprobe: %s", strerror(-error));
}

void cards_begin(uint32_t used) {
    char name[IFNAMSIZ];
    int device;
    for (uint32_t number = 0; (device = find_device(number)) >= 0; number++) {
        find_interface(device, name);
        bool driven = name[0] != '\0', wanted = number < used;
        int error = driven == wanted ? 0 : tell_driver(wanted ? DRIVER "/bind" : DRIVER "/unbind", device);
        if (error < 0)
            say("card %u: %s", number, strerror(-error));
        find_interface(device, name);
        if (name[0] != '\0')
            no_six(name);
    }
}
