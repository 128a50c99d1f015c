#include "network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "arp.h"
#include "card.h"
#include "netlink.h"

#define MOST_LINKS 16u
#define NO_CARD UINT32_MAX

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
    uint32_t card, mtu;
    struct span hwaddr;
    struct strings addresses;
    struct span routes;
};

static const struct field network_fields[] = {
    REQUEST_FIELDS,
    NEED(network_request, interface, FIELD_STRING),
    MAY(network_request, card, FIELD_U32),
    MAY(network_request, mtu, FIELD_U32),
    MAY(network_request, hwaddr, FIELD_BYTES),
    MAY(network_request, addresses, FIELD_STRINGS),
    MAY(network_request, routes, FIELD_VALUE),
};

struct route_request {
    char *dst, *via, *kind;
    bool onlink;
};

static const struct field route_fields[] = {
    NEED(route_request, dst, FIELD_STRING),
    MAY(route_request, via, FIELD_STRING),
    MAY(route_request, kind, FIELD_STRING),
    MAY(route_request, onlink, FIELD_BOOL),
};

struct link {
    int netlink_fd;
    unsigned index;
    bool up, configured; /* configured: by an earlier request, so the machine is a fork */
};

/* The interfaces that requests have configured, and how, but for the hardware address; 0 bytes: that failed, or does
 * not fit. */
static struct configured {
    unsigned index;
    uint32_t length;
    uint8_t how[512];
} configured[MOST_LINKS];

/* The one of an interface; of index 0, one that is free. */
static struct configured *find_configured(unsigned index) {
    for (size_t i = 0; i < MOST_LINKS; i++)
        if (configured[i].index == index)
            return &configured[i];
    return NULL;
}

static void describe(const struct network_request *wanted, struct configured *it) {
    struct mpw w = {.bytes = it->how, .room = sizeof(it->how)};
    mpw_unsigned(&w, wanted->mtu);
    for (uint32_t i = 0; i < wanted->addresses.count; i++)
        mpw_string(&w, wanted->addresses.items[i]);
    mpw_binary(&w, wanted->routes.bytes, wanted->routes.length);
    it->length = w.overflow ? 0 : (uint32_t)w.length;
}

/* Its place, in which nothing is described yet. */
static struct configured *begin_configured(unsigned index) {
    struct configured *it = find_configured(index);
    if (it == NULL)
        it = find_configured(0);
    if (it != NULL)
        *it = (struct configured){.index = index};
    return it;
}

static bool only_hwaddr_differs(unsigned index, const struct network_request *wanted) {
    const struct configured *before = find_configured(index);
    struct configured now;
    describe(wanted, &now);
    return before->length > 0 && now.length == before->length && memcmp(now.how, before->how, now.length) == 0;
}

/* Any socket takes these ioctls (netdevice(7)). The loopback is up from the start, and never taken back. */
static int find_link(struct link *link, const char *name) {
    struct ifreq request = {0};
    if (strlen(name) >= sizeof(request.ifr_name))
        return -ENODEV;
    strcpy(request.ifr_name, name);
    if (ioctl(link->netlink_fd, SIOCGIFINDEX, &request) < 0)
        return -errno;
    link->index = (unsigned)request.ifr_ifindex;
    if (ioctl(link->netlink_fd, SIOCGIFFLAGS, &request) < 0)
        return -errno;
    link->up = (request.ifr_flags & IFF_UP) && !(request.ifr_flags & IFF_LOOPBACK);
    link->configured = link->up && find_configured(link->index) != NULL;
    return 0;
}

static int parse_route(const struct route_request *wanted, struct route *route) {
    const char *kind = wanted->kind == NULL ? "unicast" : wanted->kind;
    *route = (struct route){
        .via.family = AF_INET, .onlink = wanted->onlink, .prohibit = strcmp(kind, "prohibit") == 0,
        .has_via = wanted->via != NULL && wanted->via[0] != '\0',
    };
    if (!route->prohibit && strcmp(kind, "unicast") != 0)
        return fail(EINVAL, "route", "kind %s", kind);
    if (route->has_via && !parse_address(wanted->via, &route->via))
        return fail(EINVAL, "route", "via %s", wanted->via);
    int family = route->via.family;
    if (strcmp(wanted->dst, "default") == 0)
        route->dst = (struct address){.family = family, .length = family == AF_INET6 ? 16 : 4};
    else if (!parse_address(wanted->dst, &route->dst))
        return fail(EINVAL, "route", "%s", wanted->dst);
    return 0;
}

static int one_route(void *item, void *context) {
    const struct route_request *wanted = item;
    const struct link *link = context;
    struct route route;
    int error = parse_route(wanted, &route);
    if (error < 0)
        return error;
    error = netlink_add_route(link->netlink_fd, link->index, &route);
    return error < 0 ? fail(-error, "route", "%s", wanted->dst) : 0;
}

/* A card has IPv6 once it is given an address of it (boot.c), and nobody on its link adds others to that. */
static int allow_six(const char *interface) {
    static const char *const settings[][2] = {{"accept_ra", "0"}, {"disable_ipv6", "0"}};
    char path[80];
    int error = 0;
    for (size_t i = 0; error == 0 && i < COUNT(settings); i++) {
        snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", interface, settings[i][0]);
        error = write_text(AT_FDCWD, path, settings[i][1]);
    }
    return error < 0 ? fail(-error, "IPv6", "%s", interface) : 0;
}

static bool wants_six(const struct strings *addresses) {
    for (uint32_t i = 0; i < addresses->count; i++)
        if (strchr(addresses->items[i], ':') != NULL)
            return true;
    return false;
}

static int one_address(const struct link *link, const char *text, const uint8_t *new_hwaddr) {
    struct address address;
    int error = parse_address(text, &address) ? netlink_add_address(link->netlink_fd, link->index, &address) : -EINVAL;
    if (error < 0)
        return fail(-error, "address", "%s", text);
    if (new_hwaddr == NULL || address.family != AF_INET)
        return 0;
    error = arp_announce(link->index, new_hwaddr, address.bytes);
    return error < 0 ? fail(-error, "announcement", "%s", text) : 0;
}

/* Where all else is as it was, a link that is up gets another hardware address as it is, if its driver can; what
 * programs have changed of it since stays, as all else of a fork does. */
static int change_hwaddr(const struct link *link, const struct network_request *wanted) {
    int error = netlink_set_link(link->netlink_fd, link->index, 0, wanted->hwaddr.bytes);
    for (uint32_t i = 0; error == 0 && i < wanted->addresses.count; i++) {
        struct address address;
        if (parse_address(wanted->addresses.items[i], &address) && address.family == AF_INET)
            error = arp_announce(link->index, wanted->hwaddr.bytes, address.bytes);
    }
    return error;
}

static int set_up(const struct link *link, const struct network_request *wanted) {
    const uint8_t *hwaddr = wanted->hwaddr.bytes;
    /* Not every driver changes the address of a link that is up. */
    bool down = link->configured || (link->up && hwaddr != NULL);
    int error = down ? netlink_take_back(link->netlink_fd, link->index) : 0;
    if (error < 0)
        return fail(-error, "link down", "%s", wanted->interface);
    error = netlink_set_link(link->netlink_fd, link->index, wanted->mtu, hwaddr);
    if (error < 0)
        return fail(-error, "link up", "%s", wanted->interface);
    error = wants_six(&wanted->addresses) ? allow_six(wanted->interface) : 0;
    if (error < 0)
        return error;
    for (uint32_t i = 0; i < wanted->addresses.count; i++) {
        error = one_address(link, wanted->addresses.items[i], hwaddr);
        if (error < 0)
            return error;
    }
    return fields_each(wanted->routes, route_fields, COUNT(route_fields), sizeof(struct route_request), one_route,
                       (void *)link);
}

static int configure(const struct link *link, const struct network_request *wanted) {
    if (wanted->hwaddr.bytes != NULL && wanted->hwaddr.length != HWADDR_BYTES)
        return fail(EINVAL, "request", "hwaddr");
    if (link->configured && wanted->hwaddr.bytes != NULL && only_hwaddr_differs(link->index, wanted) &&
        change_hwaddr(link, wanted) == 0)
        return 0;
    struct configured *it = begin_configured(link->index);
    if (it == NULL)
        return fail(ENOSPC, "network", "%s", wanted->interface);
    int error = set_up(link, wanted);
    if (error == 0)
        describe(wanted, it);
    return error;
}

/* The last request, as long as nobody else can have changed what it did: until the first program starts. A template
 * has heard the one that most of its forks repeat. */
static struct {
    uint8_t bytes[1024];
    uint32_t length;
    bool others;
} done;

static bool is_done(struct span request) {
    return done.length > 0 && done.length == request.length && memcmp(done.bytes, request.bytes, done.length) == 0;
}

static void note_done(struct span request) {
    done.length = !done.others && request.length <= sizeof(done.bytes) ? request.length : 0;
    memcpy(done.bytes, request.bytes, done.length);
}

void network_open_to_others(void) {
    done.length = 0;
    done.others = true;
}

int op_network(struct span request, struct mpw *ok) {
    (void)ok;
    if (is_done(request))
        return 0;
    done.length = 0;
    struct mp mp = mp_over(request);
    struct network_request wanted = {.card = NO_CARD};
    int error = fields_decode(&mp, network_fields, COUNT(network_fields), &wanted);
    if (error < 0)
        return error;
    _cleanup_fd_ int netlink_fd = netlink_open();
    struct link link = {.netlink_fd = netlink_fd};
    if (netlink_fd < 0)
        return fail(-netlink_fd, "netlink", "%s", wanted.interface);
    error = wanted.card == NO_CARD ? 0 : card_take(wanted.card, wanted.interface);
    if (error < 0)
        return fail(-error, "card", "%u as %s", wanted.card, wanted.interface);
    error = find_link(&link, wanted.interface);
    error = error < 0 ? fail(-error, "link", "%s", wanted.interface) : configure(&link, &wanted);
    if (error == 0)
        note_done(request);
    return error;
}

struct unplug_request {
    uint32_t card;
};

static const struct field unplug_fields[] = {REQUEST_FIELDS, NEED(unplug_request, card, FIELD_U32)};

int op_unplug(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct unplug_request wanted;
    unsigned index;
    int error = fields_decode(&mp, unplug_fields, COUNT(unplug_fields), &wanted);
    if (error < 0)
        return error;
    error = card_leave(wanted.card, &index);
    struct configured *it = index > 0 ? find_configured(index) : NULL;
    if (it != NULL && error == 0)
        *it = (struct configured){0};
    done.length = 0;
    return error < 0 ? fail(-error, "card", "%u", wanted.card) : 0;
}

void network_bring_up(const char *name) {
    _cleanup_fd_ int netlink_fd = netlink_open();
    struct link link = {.netlink_fd = netlink_fd};
    int error = netlink_fd < 0 ? netlink_fd : find_link(&link, name);
    if (error == -ENODEV)
        return; /* a machine without a network */
    if (error == 0)
        error = netlink_set_link(netlink_fd, link.index, 0, NULL);
    if (error < 0)
        say("%s: %s", name, strerror(-error));
}
