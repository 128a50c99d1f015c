/* The address resolution of IPv4 on Ethernet (RFC 826), as much as a card with a new address has to say. */
#pragma once

#include "util.h"

/* Tells everybody on the link that the IPv4 address `ip` is now at `hwaddr` (an ARP announcement, RFC 5227
 * section 2.3): who took it to be at another would go on sending there. The link is up. Returns 0 or -errno. */
int arp_announce(unsigned index, const uint8_t *hwaddr, const uint8_t *ip);
