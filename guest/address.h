/* Where a socket is to be: a TCP port at a numeric address of the machine, or a path in a container's root.
 *
 * The rule: a path is looked up inside the root, whatever its links say, and what is connected to or bound is what
 * was looked up: the kernel is shown the descriptor, by its link in /proc. */
#pragma once

#include "container.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct place {
    char *container, *path, *address; /* path "": a TCP port at `address` */
    uint32_t port;
};

#define PLACE_FIELDS(type)                                                                                            \
    {"container", FIELD_STRING, offsetof(struct type, place.container), false},                                       \
    {"path", FIELD_STRING, offsetof(struct type, place.path), true},                                                  \
    {"address", FIELD_STRING, offsetof(struct type, place.address), true},                                            \
    {"port", FIELD_U32, offsetof(struct type, place.port), true}

#define PLACE_DEFAULT {.path = "", .address = "127.0.0.1"}

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

/* The container of `place`, where it is right. NULL with the failure recorded where it is not, or is not running. */
struct container *place_check(const char *step, const struct place *place);

/* The address of a TCP port. Returns its length or -errno with the failure recorded. */
int address_of_port(const char *step, const struct place *place, union address *address);

/* The address by which the kernel finds the open file `fd`, or `name` in the open directory `fd`. Returns its length
 * or -ENAMETOOLONG. */
int address_of_file(int fd, union address *address);
int address_of_entry(int fd, const char *name, union address *address);

/* What a failure says of `place`: its path, or its address and port. */
const char *place_name(const struct place *place);
