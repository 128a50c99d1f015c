/* The seccomp filter of a program: classic BPF that the host has compiled (seccomp(2)). */
#pragma once

#include "fields.h"

struct filter {
    struct span program; /* struct sock_filter, one after the other */
    uint32_t flags;      /* SECCOMP_FILTER_FLAG_* */
};

/* Decodes the map `wanted`, or nothing at all. Returns 0 or -errno with the failure recorded. */
int filter_decode(struct span wanted, struct filter *filter);

/* Enters it for good; one without a program is none. The caller has CAP_SYS_ADMIN or no_new_privs. Returns 0 or
 * -errno with the failure recorded. */
int filter_enter(const struct filter *filter);
