/* rtnetlink(7), as much as a machine's cards need: each function is one request, and returns 0 or the kernel's
 * -errno. */
#pragma once

#include "util.h"

#define HWADDR_BYTES 6u

struct address {
    int family;
    uint8_t bytes[16];
    uint8_t length; /* of the address, in bytes */
    uint8_t prefix; /* in bits */
};

struct route {
    struct address dst, via;
    bool has_via, prohibit, onlink;
};

/* Returns a socket or -errno. */
int netlink_open(void);

/* Sets the MTU (0: leaves it) and the hardware address (NULL: leaves it), then brings the link up. */
int netlink_set_link(int netlink_fd, unsigned index, uint32_t mtu, const uint8_t *hwaddr);

/* Takes a link down, and with it its routes and neighbours, and takes its addresses away. */
int netlink_take_back(int netlink_fd, unsigned index);

/* What is there already is replaced. */
int netlink_add_address(int netlink_fd, unsigned index, const struct address *address);
int netlink_add_route(int netlink_fd, unsigned index, const struct route *route);
