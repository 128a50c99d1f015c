#include "filter.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

/* A listener would be somebody who answers, and nobody here does. */
#define ALLOWED_FLAGS (SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW)

static const struct field filter_fields[] = {
    NEED(filter, program, FIELD_BYTES),
    MAY(filter, flags, FIELD_U32),
};

int filter_decode(struct span wanted, struct filter *filter) {
    struct mp mp = mp_over(wanted);
    *filter = (struct filter){0};
    if (wanted.length == 0)
        return 0;
    int error = fields_decode(&mp, filter_fields, COUNT(filter_fields), filter);
    if (error < 0)
        return error;
    uint32_t length = filter->program.length;
    if (length == 0 || length % sizeof(struct sock_filter) != 0 || length > BPF_MAXINSNS * sizeof(struct sock_filter))
        return fail(EINVAL, "request", "a filter of %u bytes", length);
    return filter->flags & ~ALLOWED_FLAGS ? fail(EINVAL, "request", "filter flags %#x", filter->flags) : 0;
}

int filter_enter(const struct filter *filter) {
    const struct sock_fprog program = {
        .len = (unsigned short)(filter->program.length / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)filter->program.bytes,
    };
    if (program.len > 0 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter->flags, &program) < 0)
        return fail(errno, "seccomp", "a filter of %u instructions", program.len);
    return 0;
}
