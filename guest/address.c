#include "address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

const char *place_name(const struct place *place) {
    static char name[224];
    if (place->path[0] != '\0')
        snprintf(name, sizeof(name), "%s", place->path);
    else
        snprintf(name, sizeof(name), "%.64s port %u", place->address, place->port);
    return name;
}

struct container *place_check(const char *step, const struct place *place) {
    if (place->path[0] != '\0' && place->path[0] != '/') {
        fail(EINVAL, step, "path %s", place->path);
        return NULL;
    }
    if (place->port > UINT16_MAX) {
        fail(EINVAL, step, "port %u", place->port);
        return NULL;
    }
    return container_find_running(step, place->container);
}

int address_of_port(const char *step, const struct place *place, union address *address) {
    memset(address, 0, sizeof(*address));
    if (inet_pton(AF_INET, place->address, &address->in.sin_addr) == 1) {
        address->in.sin_family = AF_INET;
        address->in.sin_port = htons((uint16_t)place->port);
        return sizeof(address->in);
    }
    if (inet_pton(AF_INET6, place->address, &address->in6.sin6_addr) == 1) {
        address->in6.sin6_family = AF_INET6;
        address->in6.sin6_port = htons((uint16_t)place->port);
        return sizeof(address->in6);
    }
    return fail(EINVAL, step, "address %.64s", place->address);
}

int address_of_file(int fd, union address *address) {
    memset(address, 0, sizeof(*address));
    address->un.sun_family = AF_UNIX;
    snprintf(address->un.sun_path, sizeof(address->un.sun_path), "/proc/self/fd/%d", fd);
    return sizeof(address->un);
}

int address_of_entry(int fd, const char *name, union address *address) {
    char path[sizeof(address->un.sun_path) + 1];
    int length = snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", fd, name);
    if (length < 0 || (size_t)length >= sizeof(address->un.sun_path))
        return -ENAMETOOLONG;
    memset(address, 0, sizeof(*address));
    address->un.sun_family = AF_UNIX;
    memcpy(address->un.sun_path, path, (size_t)length + 1);
    return sizeof(address->un);
}
