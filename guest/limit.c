#include "limit.h"

#include <stdio.h>
#include <string.h>

#include "container.h"

#define KEEP UINT64_MAX /* of a limit that the request does not name; 0 is none */

struct limit_request {
    char *container;
    uint64_t memory_bytes, cpu_quota_us, pids;
};

#define CPU_PERIOD_US 100000u

static const struct field limit_fields[] = {
    REQUEST_FIELDS,
    NEED(limit_request, container, FIELD_STRING),
    MAY(limit_request, memory_bytes, FIELD_U64),
    MAY(limit_request, cpu_quota_us, FIELD_U64),
    MAY(limit_request, pids, FIELD_U64),
};

static int set(const struct cgroup *cgroup, const char *file, const char *suffix, uint64_t value) {
    char text[64];
    if (value == 0)
        snprintf(text, sizeof(text), "max%s", suffix);
    else
        snprintf(text, sizeof(text), "%llu%s", (unsigned long long)value, suffix);
    int error = write_text(cgroup->fd, file, text);
    return error < 0 ? fail(-error, "limit", "%s to %s", file, text) : 0;
}

/* The kernel would kill to get below a limit. What is only cached is let go; a limit below the rest is refused. */
static int make_room(const struct cgroup *cgroup, uint64_t limit) {
    uint64_t used = cgroup_read(cgroup, "memory.current", 0);
    char text[32];
    if (limit == 0 || used <= limit)
        return 0;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)(used - limit));
    write_text(cgroup->fd, "memory.reclaim", text); /* EAGAIN where there is less: seen below */
    used = cgroup_read(cgroup, "memory.current", 0);
    return used <= limit ? 0
                         : fail(EBUSY, "limit", "memory to %llu bytes, of which %llu are in use",
                                (unsigned long long)limit, (unsigned long long)used);
}

static int apply(const struct cgroup *cgroup, const struct limit_request *wanted) {
    int error = 0;
    if (wanted->memory_bytes != KEEP) {
        error = make_room(cgroup, wanted->memory_bytes);
        if (error == 0)
            error = set(cgroup, "memory.max", "", wanted->memory_bytes);
    }
    if (error == 0 && wanted->cpu_quota_us != KEEP) {
        char period[16];
        snprintf(period, sizeof(period), " %u", CPU_PERIOD_US);
        error = set(cgroup, "cpu.max", period, wanted->cpu_quota_us);
    }
    if (error == 0 && wanted->pids != KEEP)
        error = set(cgroup, "pids.max", "", wanted->pids);
    return error;
}

int op_limit(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct limit_request wanted = {.memory_bytes = KEEP, .cpu_quota_us = KEEP, .pids = KEEP};
    int error = fields_decode(&mp, limit_fields, COUNT(limit_fields), &wanted);
    if (error < 0)
        return error;
    const struct container *container = container_find_running("limit", wanted.container);
    if (container == NULL)
        return -failure_last()->error;
    if (container->cgroup.fd < 0)
        return fail(EOPNOTSUPP, "limit", "container %s has no cgroup", wanted.container);
    return apply(&container->cgroup, &wanted);
}
