#include "arp.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <string.h>
#include <sys/socket.h>

int arp_announce(unsigned index, const uint8_t *hwaddr, const uint8_t *ip) {
    struct ether_arp arp = {
        .arp_hrd = htons(ARPHRD_ETHER), .arp_pro = htons(ETHERTYPE_IP), .arp_hln = ETH_ALEN, .arp_pln = 4,
        .arp_op = htons(ARPOP_REQUEST),
    };
    memcpy(arp.arp_sha, hwaddr, sizeof(arp.arp_sha));
    memcpy(arp.arp_spa, ip, sizeof(arp.arp_spa));
    memcpy(arp.arp_tpa, ip, sizeof(arp.arp_tpa));
    struct sockaddr_ll everybody = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_ifindex = (int)index, .sll_halen = ETH_ALEN,
    };
    memset(everybody.sll_addr, 0xff, ETH_ALEN);
    _cleanup_fd_ int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* protocol 0: it receives nothing */
    if (fd < 0)
        return -errno;
    ssize_t sent = sendto(fd, &arp, sizeof(arp), 0, (const struct sockaddr *)&everybody, sizeof(everybody));
    return sent < 0 ? -errno : 0;
}
