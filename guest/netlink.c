#include "netlink.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define ANSWER_S 5
#define ADDRESSES_AT_ONCE 32u
#define MOST_ROUNDS 64 /* somebody in a container may go on adding addresses */
#define DUMP_BYTES 32768u

struct request_buffer {
    struct nlmsghdr header;
    uint8_t room[256];
};

static void *begin(struct request_buffer *buffer, uint16_t type, uint16_t flags, size_t body_bytes) {
    memset(buffer, 0, sizeof(*buffer));
    buffer->header.nlmsg_type = type;
    buffer->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    buffer->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(body_bytes);
    return NLMSG_DATA(&buffer->header);
}

/* The buffer holds the largest message that is built here. */
static void attribute(struct request_buffer *buffer, uint16_t type, const void *value, size_t bytes) {
    size_t at = NLMSG_ALIGN(buffer->header.nlmsg_len);
    struct rtattr *attribute = (struct rtattr *)((uint8_t *)buffer + at);
    attribute->rta_type = type;
    attribute->rta_len = (unsigned short)RTA_LENGTH(bytes);
    memcpy(RTA_DATA(attribute), value, bytes);
    buffer->header.nlmsg_len = (uint32_t)(at + RTA_LENGTH(bytes));
}

static void put_address(struct request_buffer *buffer, const struct address *address) {
    attribute(buffer, IFA_LOCAL, address->bytes, address->length);
    attribute(buffer, IFA_ADDRESS, address->bytes, address->length);
}

/* Sends one request and waits for its acknowledgement. Returns 0 or the kernel's -errno. */
static int talk(int netlink_fd, struct request_buffer *buffer) {
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        uint8_t rest[512];
    } answer;
    if (send(netlink_fd, buffer, buffer->header.nlmsg_len, 0) < 0)
        return -errno;
    ssize_t got = recv(netlink_fd, &answer, sizeof(answer), 0);
    if (got < 0)
        return -errno;
    if ((size_t)got < sizeof(answer.header) + sizeof(answer.error) || answer.header.nlmsg_type != NLMSG_ERROR)
        return -EPROTO;
    return answer.error.error;
}

int netlink_open(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return -errno;
    const struct timeval limit = {.tv_sec = ANSWER_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static struct ifinfomsg *begin_link(struct request_buffer *buffer, unsigned index, bool up) {
    struct ifinfomsg *link = begin(buffer, RTM_NEWLINK, 0, sizeof(*link));
    link->ifi_family = AF_UNSPEC;
    link->ifi_index = (int)index;
    link->ifi_change = IFF_UP;
    link->ifi_flags = up ? IFF_UP : 0;
    return link;
}

int netlink_set_link(int netlink_fd, unsigned index, uint32_t mtu, const uint8_t *hwaddr) {
    struct request_buffer buffer;
    begin_link(&buffer, index, true);
    if (mtu > 0)
        attribute(&buffer, IFLA_MTU, &mtu, sizeof(mtu));
    if (hwaddr != NULL)
        attribute(&buffer, IFLA_ADDRESS, hwaddr, HWADDR_BYTES);
    return talk(netlink_fd, &buffer);
}

int netlink_add_address(int netlink_fd, unsigned index, const struct address *address) {
    struct request_buffer buffer;
    struct ifaddrmsg *body = begin(&buffer, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*body));
    body->ifa_family = (uint8_t)address->family;
    body->ifa_prefixlen = address->prefix;
    body->ifa_index = index;
    /* Nobody else is on this link, so an IPv6 address need not wait for its duplicate to answer. */
    body->ifa_flags = address->family == AF_INET6 ? IFA_F_NODAD : 0;
    put_address(&buffer, address);
    return talk(netlink_fd, &buffer);
}

/* ---- taking back an earlier configuration ---- */

struct found {
    struct address addresses[ADDRESSES_AT_ONCE];
    size_t count;
};

static void note_address(const struct nlmsghdr *header, unsigned index, struct found *found) {
    const struct ifaddrmsg *body = NLMSG_DATA(header);
    int left = (int)IFA_PAYLOAD(header);
    const void *value = NULL;
    if (header->nlmsg_type != RTM_NEWADDR || body->ifa_index != index || found->count == ADDRESSES_AT_ONCE)
        return;
    uint8_t length = body->ifa_family == AF_INET6 ? 16 : 4;
    for (const struct rtattr *each = IFA_RTA(body); RTA_OK(each, left); each = RTA_NEXT(each, left))
        /* A point-to-point link's IFA_ADDRESS is its peer's. */
        if (RTA_PAYLOAD(each) == length && (each->rta_type == IFA_LOCAL || (each->rta_type == IFA_ADDRESS && !value)))
            value = RTA_DATA(each);
    if (value == NULL)
        return;
    struct address *address = &found->addresses[found->count++];
    *address = (struct address){.family = body->ifa_family, .length = length, .prefix = body->ifa_prefixlen};
    memcpy(address->bytes, value, length);
}

/* Reads one datagram of a dump. Returns 1 at its end, 0 before, -errno. */
static int take_dump(int netlink_fd, unsigned index, struct found *found) {
    static alignas(struct nlmsghdr) uint8_t dump[DUMP_BYTES];
    ssize_t got = recv(netlink_fd, dump, sizeof(dump), 0);
    if (got < 0)
        return -errno;
    int left = (int)got;
    for (const struct nlmsghdr *each = (const void *)dump; NLMSG_OK(each, left); each = NLMSG_NEXT(each, left)) {
        if (each->nlmsg_type == NLMSG_DONE)
            return 1;
        if (each->nlmsg_type == NLMSG_ERROR)
            return ((const struct nlmsgerr *)NLMSG_DATA(each))->error;
        note_address(each, index, found);
    }
    return 0;
}

static int find_addresses(int netlink_fd, unsigned index, struct found *found) {
    struct request_buffer buffer;
    struct ifaddrmsg *body = begin(&buffer, RTM_GETADDR, NLM_F_DUMP, sizeof(*body));
    buffer.header.nlmsg_flags &= (uint16_t)~NLM_F_ACK;
    body->ifa_family = AF_UNSPEC;
    found->count = 0;
    if (send(netlink_fd, &buffer, buffer.header.nlmsg_len, 0) < 0)
        return -errno;
    int ended;
    do
        ended = take_dump(netlink_fd, index, found);
    while (ended == 0);
    return ended < 0 ? ended : 0;
}

static int remove_address(int netlink_fd, unsigned index, const struct address *address) {
    struct request_buffer buffer;
    struct ifaddrmsg *body = begin(&buffer, RTM_DELADDR, 0, sizeof(*body));
    body->ifa_family = (uint8_t)address->family;
    body->ifa_prefixlen = address->prefix;
    body->ifa_index = index;
    put_address(&buffer, address);
    int error = talk(netlink_fd, &buffer);
    return error == -EADDRNOTAVAIL ? 0 : error; /* it went with the one before it */
}

int netlink_take_back(int netlink_fd, unsigned index) {
    struct request_buffer buffer;
    struct found found = {.count = 1};
    begin_link(&buffer, index, false);
    int error = talk(netlink_fd, &buffer);
    for (int round = 0; error == 0 && found.count > 0; round++) {
        error = round < MOST_ROUNDS ? find_addresses(netlink_fd, index, &found) : -EBUSY;
        for (size_t i = 0; error == 0 && i < found.count; i++)
            error = remove_address(netlink_fd, index, &found.addresses[i]);
    }
    return error;
}

/* ---- routes ---- */

int netlink_add_route(int netlink_fd, unsigned index, const struct route *route) {
    struct request_buffer buffer;
    const struct address *dst = &route->dst, *via = route->has_via ? &route->via : NULL;
    bool prohibit = route->prohibit;
    struct rtmsg *body = begin(&buffer, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*body));
    body->rtm_family = (uint8_t)dst->family;
    body->rtm_dst_len = dst->prefix;
    body->rtm_table = RT_TABLE_MAIN;
    body->rtm_protocol = RTPROT_BOOT;
    body->rtm_type = prohibit ? RTN_PROHIBIT : RTN_UNICAST;
    body->rtm_scope = via == NULL && !prohibit ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    body->rtm_flags = route->onlink ? RTNH_F_ONLINK : 0;
    if (dst->prefix > 0)
        attribute(&buffer, RTA_DST, dst->bytes, dst->length);
    if (via != NULL)
        attribute(&buffer, RTA_GATEWAY, via->bytes, via->length);
    if (!prohibit)
        attribute(&buffer, RTA_OIF, &index, sizeof(index));
    return talk(netlink_fd, &buffer);
}
