/* A published port's callers seem to come from the address that stands for the host's loopback, so answers must reach
 * it. Two BPF programs on the root cgroup keep it at that: one refuses a connect(2) to it, one drops what leaves for it
 * and is no answer, from raw sockets too. They are attached without flags, so a second request takes the place of the
 * first; who may take them away (CAP_NET_ADMIN outside of any container) owns the machine.
 *
 * The VMM's IPv6 takes every address of its own network to the host's loopback, but for its name server's, and so it
 * does with ::1 and IPv4's mapped into IPv6: the first program closes these, too, where a name server is given. */
#include "guard.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mounts.h"

#define MOST_PORTS 1024u
#define FIXED 160u /* instructions beside those of the ports */
#define STACK (-24)
#define LOOPBACK_IFINDEX 1
#define DNS_PORT 53

struct guard_request {
    char *address, *resolver6;
    struct span udp;
};

struct ports {
    uint16_t items[MOST_PORTS];
    uint32_t count;
};

static const struct field guard_fields[] = {
    REQUEST_FIELDS,
    NEED(guard_request, address, FIELD_STRING),
    MAY(guard_request, udp, FIELD_VALUE),
    MAY(guard_request, resolver6, FIELD_STRING),
};

/* ---- a program, as it is written ---- */

struct code {
    struct bpf_insn at[FIXED + MOST_PORTS];
    uint32_t count;
};

static void put(struct code *code, uint8_t op, uint8_t dst, uint8_t src, int16_t offset, int32_t immediate) {
    code->at[code->count++] = (struct bpf_insn){.code = op, .dst_reg = dst & 15, .src_reg = src & 15, .off = offset, .imm = immediate};
}

static void set(struct code *code, uint8_t dst, int32_t value) {
    put(code, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value);
}

static void copy(struct code *code, uint8_t dst, uint8_t src) {
    put(code, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void mask(struct code *code, uint8_t dst, int32_t bits) {
    put(code, BPF_ALU64 | BPF_AND | BPF_K, dst, 0, 0, bits);
}

/* What was loaded last, at `offset` of it. */
static void get(struct code *code, uint8_t dst, uint8_t size, int16_t offset) {
    put(code, (uint8_t)(BPF_LDX | BPF_MEM | size), dst, BPF_REG_10, (int16_t)(STACK + offset), 0);
}

/* The program ends with `verdict`, where `dst` compares so to `value`: 32 bits, as jumps go. */
static void end_if(struct code *code, uint8_t comparison, uint8_t dst, uint32_t value, int verdict) {
    uint8_t inverse = comparison == BPF_JEQ ? BPF_JNE : BPF_JEQ;
    put(code, (uint8_t)(BPF_JMP32 | inverse | BPF_K), dst, 0, 2, (int32_t)value);
    set(code, BPF_REG_0, verdict);
    put(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void end(struct code *code, int verdict) {
    set(code, BPF_REG_0, verdict);
    put(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

enum { DROP, ALLOW };

/* Loads `bytes` of the packet from r7 + `offset` on; who has none there is dropped. */
static void load(struct code *code, int32_t offset, int32_t bytes) {
    copy(code, BPF_REG_1, BPF_REG_6);
    copy(code, BPF_REG_2, BPF_REG_7);
    put(code, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, offset);
    copy(code, BPF_REG_3, BPF_REG_10);
    put(code, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, STACK);
    set(code, BPF_REG_4, bytes);
    put(code, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_load_bytes);
    end_if(code, BPF_JNE, BPF_REG_0, 0, DROP);
}

/* ---- the two programs ---- */

/* A jump that is to lead to where the program goes on when it is landed. */
static uint32_t jump_if(struct code *code, uint8_t comparison, uint8_t dst, uint32_t value) {
    put(code, (uint8_t)(BPF_JMP32 | comparison | BPF_K), dst, 0, 0, (int32_t)value);
    return code->count - 1;
}

static void land(struct code *code, uint32_t jump) {
    code->at[jump].off = (int16_t)(code->count - jump - 1);
}

/* Returns the jump of what is IPv6; then come IPv4's fields (RFC 791): r7 the length of its header, r8 the fragment
 * field, r9 the protocol. */
static uint32_t header(struct code *code, uint32_t address) {
    copy(code, BPF_REG_6, BPF_REG_1);
    set(code, BPF_REG_7, 0);
    load(code, 0, 20);
    get(code, BPF_REG_2, BPF_B, 0);
    copy(code, BPF_REG_7, BPF_REG_2);
    mask(code, BPF_REG_2, 0xf0);
    uint32_t six = jump_if(code, BPF_JEQ, BPF_REG_2, 0x60);
    end_if(code, BPF_JNE, BPF_REG_2, 0x40, ALLOW);
    get(code, BPF_REG_2, BPF_W, 16);
    end_if(code, BPF_JNE, BPF_REG_2, address, ALLOW);
    mask(code, BPF_REG_7, 0x0f);
    put(code, BPF_ALU64 | BPF_LSH | BPF_K, BPF_REG_7, 0, 0, 2);
    get(code, BPF_REG_8, BPF_H, 6);
    put(code, BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_8, 0, 0, 16);
    get(code, BPF_REG_9, BPF_B, 9);
    return six;
}

/* TCP (RFC 9293): what begins a connection is a SYN without an ACK. In fragments it could be put together later. */
static void tcp(struct code *code) {
    copy(code, BPF_REG_2, BPF_REG_8);
    mask(code, BPF_REG_2, 0x3fff);
    end_if(code, BPF_JNE, BPF_REG_2, 0, DROP);
    load(code, 13, 1);
    get(code, BPF_REG_2, BPF_B, 0);
    mask(code, BPF_REG_2, 0x12);
    end_if(code, BPF_JEQ, BPF_REG_2, 0x02, DROP);
    end(code, ALLOW);
}

/* UDP has no answers, only ports that are published. Of a dropped datagram nobody misses the later fragments. */
static void udp(struct code *code, const struct ports *ports) {
    copy(code, BPF_REG_2, BPF_REG_8);
    mask(code, BPF_REG_2, 0x1fff);
    end_if(code, BPF_JNE, BPF_REG_2, 0, ALLOW);
    load(code, 0, 2);
    get(code, BPF_REG_2, BPF_H, 0);
    set(code, BPF_REG_0, ALLOW);
    uint32_t first = code->count, exit_at = first + ports->count + 1;
    for (uint32_t i = 0; i < ports->count; i++)
        put(code, BPF_JMP32 | BPF_JEQ | BPF_K, BPF_REG_2, 0, (int16_t)(exit_at - (first + i) - 1),
            (int32_t)htons(ports->items[i]));
    set(code, BPF_REG_0, DROP);
    put(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* The word of `address` that is at `offset` of it, as a program loads it. */
static uint32_t word(const struct in6_addr *address, size_t offset) {
    uint32_t value;
    memcpy(&value, address->s6_addr + offset, sizeof(value));
    return value;
}

/* IPv6 (RFC 8200) out of a card: of the /64 of `resolver` only that, its port 53 and what finds its card. */
static void six(struct code *code, const struct in6_addr *resolver) {
    put(code, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_6, offsetof(struct __sk_buff, ifindex), 0);
    end_if(code, BPF_JEQ, BPF_REG_2, LOOPBACK_IFINDEX, ALLOW);
    set(code, BPF_REG_7, 0);
    load(code, 24, 16);
    get(code, BPF_REG_2, BPF_W, 0);
    get(code, BPF_REG_3, BPF_W, 4);
    get(code, BPF_REG_4, BPF_H, 8);
    uint32_t elsewhere[] = {jump_if(code, BPF_JNE, BPF_REG_2, 0), jump_if(code, BPF_JNE, BPF_REG_3, 0),
                            jump_if(code, BPF_JNE, BPF_REG_4, 0)};
    end(code, DROP); /* ::1, and IPv4's as ::ffff:127.0.0.1 */
    for (size_t i = 0; i < COUNT(elsewhere); i++)
        land(code, elsewhere[i]);
    end_if(code, BPF_JNE, BPF_REG_2, word(resolver, 0), ALLOW);
    end_if(code, BPF_JNE, BPF_REG_3, word(resolver, 4), ALLOW);
    for (int16_t offset = 8; offset < 16; offset = (int16_t)(offset + 4)) {
        get(code, BPF_REG_2, BPF_W, offset);
        end_if(code, BPF_JNE, BPF_REG_2, word(resolver, (size_t)offset), DROP);
    }
    load(code, 6, 1);
    get(code, BPF_REG_9, BPF_B, 0);
    end_if(code, BPF_JEQ, BPF_REG_9, IPPROTO_ICMPV6, ALLOW);
    uint32_t datagram = jump_if(code, BPF_JEQ, BPF_REG_9, IPPROTO_UDP);
    end_if(code, BPF_JNE, BPF_REG_9, IPPROTO_TCP, DROP);
    land(code, datagram);
    load(code, 42, 2);
    get(code, BPF_REG_2, BPF_H, 0);
    end_if(code, BPF_JNE, BPF_REG_2, htons(DNS_PORT), DROP);
    end(code, ALLOW);
}

static void write_leaving(struct code *code, uint32_t address, const struct ports *ports, const struct in6_addr *resolver6) {
    uint32_t newer = header(code, address);
    end_if(code, BPF_JEQ, BPF_REG_9, IPPROTO_ICMP, ALLOW); /* the VMM answers it, not the host */
    uint32_t datagram = jump_if(code, BPF_JEQ, BPF_REG_9, IPPROTO_UDP);
    end_if(code, BPF_JNE, BPF_REG_9, IPPROTO_TCP, DROP);
    tcp(code);
    land(code, datagram);
    udp(code, ports);
    land(code, newer);
    if (resolver6 != NULL)
        six(code, resolver6);
    else
        end(code, ALLOW);
}

/* So that connect(2) fails at once, and does not wait for a SYN that was dropped. */
static void write_connecting(struct code *code, uint32_t address) {
    put(code, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct bpf_sock_addr, user_ip4), 0);
    end_if(code, BPF_JNE, BPF_REG_2, address, ALLOW);
    put(code, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct bpf_sock_addr, protocol), 0);
    end_if(code, BPF_JEQ, BPF_REG_2, IPPROTO_TCP, DROP);
    end(code, ALLOW);
}

/* ---- in the kernel ---- */

static int attach(int cgroup_fd, const struct code *code, uint32_t type, uint32_t place) {
    union bpf_attr load = {
        .prog_type = type, .expected_attach_type = place, .insn_cnt = code->count,
        .insns = (uintptr_t)code->at, .license = (uintptr_t) "Apache-2.0",
    };
    _cleanup_fd_ int program_fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
    if (program_fd < 0)
        return -errno;
    union bpf_attr attach = {.target_fd = (uint32_t)cgroup_fd, .attach_bpf_fd = (uint32_t)program_fd, .attach_type = place};
    return syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)) < 0 ? -errno : 0;
}

static int guard(uint32_t address, const struct ports *ports, const struct in6_addr *resolver6) {
    static struct code leaving, connecting;
    const struct mount_options none = {0};
    leaving.count = connecting.count = 0;
    write_leaving(&leaving, address, ports, resolver6);
    write_connecting(&connecting, address);
    _cleanup_fd_ int cgroup_fd = mount_new("cgroup2", NULL, &none);
    if (cgroup_fd < 0)
        return cgroup_fd;
    int error = attach(cgroup_fd, &leaving, BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS);
    return error < 0 ? error : attach(cgroup_fd, &connecting, BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT);
}

static int take_ports(struct span list, struct ports *ports) {
    struct mp mp = mp_over(list);
    uint64_t port;
    ports->count = 0;
    uint32_t count = 0;
    if (list.length > 0 && mp_array(&mp, &count) < 0)
        return fail(EINVAL, "request", "udp");
    if (count > MOST_PORTS)
        return fail(ENOSPC, "guard", "more than %u ports", MOST_PORTS);
    for (; ports->count < count; ports->count++) {
        if (mp_unsigned(&mp, &port) < 0 || port == 0 || port > UINT16_MAX)
            return fail(EINVAL, "guard", "port number %u of udp", ports->count);
        ports->items[ports->count] = (uint16_t)port;
    }
    return 0;
}

int op_guard(struct span request, struct mpw *ok) {
    static struct ports ports;
    (void)ok;
    struct mp mp = mp_over(request);
    struct guard_request wanted = {0};
    struct in_addr address;
    struct in6_addr resolver6;
    int error = fields_decode(&mp, guard_fields, COUNT(guard_fields), &wanted);
    if (error < 0)
        return error;
    if (inet_pton(AF_INET, wanted.address, &address) != 1)
        return fail(EINVAL, "guard", "%.64s", wanted.address);
    bool has_six = wanted.resolver6 != NULL && wanted.resolver6[0] != '\0';
    if (has_six && inet_pton(AF_INET6, wanted.resolver6, &resolver6) != 1)
        return fail(EINVAL, "guard", "%.64s", wanted.resolver6);
    error = take_ports(wanted.udp, &ports);
    if (error < 0)
        return error;
    error = guard(address.s_addr, &ports, has_six ? &resolver6 : NULL);
    return error < 0 ? fail(-error, "guard", "%s", wanted.address) : 0;
}
