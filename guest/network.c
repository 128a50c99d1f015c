#include "network.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define ANSWER_S 5
#define HWADDR_BYTES 6u

struct request_buffer {
    struct nlmsghdr header;
    uint8_t room[256];
};

struct address {
    int family;
    uint8_t bytes[16];
    uint8_t length; /* of the address, in bytes */
    uint8_t prefix; /* in bits */
};

/* ---- netlink ---- */

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

static int open_netlink(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return -errno;
    const struct timeval limit = {.tv_sec = ANSWER_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static int set_link(int netlink_fd, unsigned index, uint32_t mtu, const uint8_t *hwaddr) {
    struct request_buffer buffer;
    struct ifinfomsg *link = begin(&buffer, RTM_NEWLINK, 0, sizeof(*link));
    link->ifi_family = AF_UNSPEC;
    link->ifi_index = (int)index;
    link->ifi_flags = link->ifi_change = IFF_UP;
    if (mtu > 0)
        attribute(&buffer, IFLA_MTU, &mtu, sizeof(mtu));
    if (hwaddr != NULL)
        attribute(&buffer, IFLA_ADDRESS, hwaddr, HWADDR_BYTES);
    return talk(netlink_fd, &buffer);
}

static int add_address(int netlink_fd, unsigned index, const struct address *address) {
    struct request_buffer buffer;
    struct ifaddrmsg *body = begin(&buffer, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*body));
    body->ifa_family = (uint8_t)address->family;
    body->ifa_prefixlen = address->prefix;
    body->ifa_index = index;
    /* Nobody else is on this link, so an IPv6 address need not wait for its duplicate to answer. */
    body->ifa_flags = address->family == AF_INET6 ? IFA_F_NODAD : 0;
    attribute(&buffer, IFA_LOCAL, address->bytes, address->length);
    attribute(&buffer, IFA_ADDRESS, address->bytes, address->length);
    return talk(netlink_fd, &buffer);
}

struct route {
    char *dst, *via, *kind;
    bool onlink;
};

static int add_route(int netlink_fd, unsigned index, const struct route *route, const struct address *dst,
                     const struct address *via) {
    struct request_buffer buffer;
    bool prohibit = strcmp(route->kind, "prohibit") == 0;
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

/* ---- addresses ---- */

/* "192.0.2.1/24", "2001:db8::1/64"; without a prefix, the address alone. */
static bool parse_address(const char *text, struct address *address) {
    char copy[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t length = slash == NULL ? strlen(text) : (size_t)(slash - text);
    if (length >= sizeof(copy))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    address->family = strchr(copy, ':') != NULL ? AF_INET6 : AF_INET;
    address->length = address->family == AF_INET6 ? 16 : 4;
    address->prefix = (uint8_t)(address->length * 8);
    if (inet_pton(address->family, copy, address->bytes) != 1)
        return false;
    if (slash == NULL)
        return true;
    char *end;
    unsigned long prefix = strtoul(slash + 1, &end, 10);
    bool digits = slash[1] >= '0' && slash[1] <= '9' && *end == '\0';
    if (!digits || prefix > address->prefix)
        return false;
    address->prefix = (uint8_t)prefix;
    return true;
}

/* ---- the op ---- */

struct network_request {
    char *interface;
    uint32_t mtu;
    struct span hwaddr;
    struct strings addresses;
    struct span routes;
};

static const struct field network_fields[] = {
    REQUEST_FIELDS,
    NEED(network_request, interface, FIELD_STRING),
    MAY(network_request, mtu, FIELD_U32),
    MAY(network_request, hwaddr, FIELD_BYTES),
    MAY(network_request, addresses, FIELD_STRINGS),
    MAY(network_request, routes, FIELD_VALUE),
};

static const struct field route_fields[] = {
    NEED(route, dst, FIELD_STRING),
    MAY(route, via, FIELD_STRING),
    MAY(route, kind, FIELD_STRING),
    MAY(route, onlink, FIELD_BOOL),
};

struct link {
    int netlink_fd;
    unsigned index;
};

static int one_route(void *item, void *context) {
    struct route *route = item;
    const struct link *link = context;
    struct address via = {.family = AF_INET}, dst = {0};
    bool has_via = route->via != NULL && route->via[0] != '\0';
    if (route->kind == NULL)
        route->kind = "unicast";
    if (strcmp(route->kind, "unicast") != 0 && strcmp(route->kind, "prohibit") != 0)
        return fail(EINVAL, "route", "kind %s", route->kind);
    if (has_via && !parse_address(route->via, &via))
        return fail(EINVAL, "route", "via %s", route->via);
    if (strcmp(route->dst, "default") == 0)
        dst = (struct address){.family = via.family, .length = via.family == AF_INET6 ? 16 : 4};
    else if (!parse_address(route->dst, &dst))
        return fail(EINVAL, "route", "%s", route->dst);
    int error = add_route(link->netlink_fd, link->index, route, &dst, has_via ? &via : NULL);
    return error < 0 ? fail(-error, "route", "%s", route->dst) : 0;
}

static int configure(const struct link *link, const struct network_request *wanted) {
    bool has_hwaddr = wanted->hwaddr.bytes != NULL;
    if (has_hwaddr && wanted->hwaddr.length != HWADDR_BYTES)
        return fail(EINVAL, "request", "hwaddr");
    int error = set_link(link->netlink_fd, link->index, wanted->mtu, has_hwaddr ? wanted->hwaddr.bytes : NULL);
    if (error < 0)
        return fail(-error, "link up", "%s", wanted->interface);
    for (uint32_t i = 0; i < wanted->addresses.count; i++) {
        struct address address;
        const char *text = wanted->addresses.items[i];
        error = parse_address(text, &address) ? add_address(link->netlink_fd, link->index, &address) : -EINVAL;
        if (error < 0)
            return fail(-error, "address", "%s", text);
    }
    return fields_each(wanted->routes, route_fields, COUNT(route_fields), sizeof(struct route), one_route,
                       (void *)link);
}

int op_network(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct network_request wanted = {0};
    int error = fields_decode(&mp, network_fields, COUNT(network_fields), &wanted);
    if (error < 0)
        return error;
    struct link link = {.index = if_nametoindex(wanted.interface)};
    if (link.index == 0)
        return fail(errno, "link", "%s", wanted.interface);
    _cleanup_fd_ int netlink_fd = link.netlink_fd = open_netlink();
    if (netlink_fd < 0)
        return fail(-netlink_fd, "netlink", "%s", wanted.interface);
    return configure(&link, &wanted);
}

void network_bring_up_loopback(void) {
    _cleanup_fd_ int netlink_fd = open_netlink();
    int error = netlink_fd < 0 ? netlink_fd : set_link(netlink_fd, 1, 0, NULL);
    if (error < 0)
        say("lo: %s", strerror(-error));
}
