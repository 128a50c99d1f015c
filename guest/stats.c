#include "stats.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "container.h"

#define FILE_BYTES CGROUP_FILE_BYTES
#define MOST_INTERFACES 64u
#define ABSENT UINT64_MAX

static void put(struct mpw *w, const char *key, uint64_t value) {
    mpw_string(w, key);
    if (value == ABSENT)
        mpw_nil(w);
    else
        mpw_unsigned(w, value);
}

/* A file of the cgroup that the caller frees, or of nothing where its controller is missing. */
static char *file_of(const struct cgroup *cgroup, const char *name) {
    char *text = NULL;
    return read_text(cgroup->fd, name, FILE_BYTES, &text) < 0 ? calloc(1, 1) : text;
}

static void put_cpu(struct mpw *w, const struct cgroup *cgroup) {
    _cleanup_free_ char *text = file_of(cgroup, "cpu.stat");
    mpw_string(w, "cpu");
    mpw_map(w, 7);
    put(w, "usage_us", cgroup_value(text, "usage_usec"));
    put(w, "user_us", cgroup_value(text, "user_usec"));
    put(w, "system_us", cgroup_value(text, "system_usec"));
    put(w, "periods", cgroup_value(text, "nr_periods"));
    put(w, "throttled_periods", cgroup_value(text, "nr_throttled"));
    put(w, "throttled_us", cgroup_value(text, "throttled_usec"));
    put(w, "online", (uint64_t)get_nprocs());
}

static void put_memory(struct mpw *w, const struct cgroup *cgroup) {
    struct sysinfo machine = {0};
    _cleanup_free_ char *text = file_of(cgroup, "memory.stat");
    _cleanup_free_ char *events = file_of(cgroup, "memory.events");
    sysinfo(&machine);
    mpw_string(w, "memory");
    mpw_map(w, 9);
    put(w, "current_bytes", cgroup_read(cgroup, "memory.current", 0));
    put(w, "peak_bytes", cgroup_read(cgroup, "memory.peak", ABSENT));
    put(w, "limit_bytes", cgroup_read(cgroup, "memory.max", ABSENT));
    put(w, "anon_bytes", cgroup_value(text, "anon"));
    put(w, "file_bytes", cgroup_value(text, "file"));
    put(w, "inactive_file_bytes", cgroup_value(text, "inactive_file"));
    put(w, "kernel_bytes", cgroup_value(text, "kernel"));
    put(w, "oom_kills", cgroup_value(events, "oom_kill"));
    put(w, "machine_bytes", (uint64_t)machine.totalram * machine.mem_unit);
}

/* "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6", a line for each device. */
static uint64_t sum_of(const char *text, const char *key) {
    uint64_t sum = 0;
    size_t length = strlen(key);
    for (const char *at = text; (at = strstr(at, key)) != NULL; at += length)
        sum += strtoull(at + length, NULL, 10);
    return sum;
}

static void put_io(struct mpw *w, const struct cgroup *cgroup) {
    _cleanup_free_ char *text = file_of(cgroup, "io.stat");
    mpw_string(w, "io");
    mpw_map(w, 4);
    put(w, "read_bytes", sum_of(text, " rbytes="));
    put(w, "write_bytes", sum_of(text, " wbytes="));
    put(w, "read_ops", sum_of(text, " rios="));
    put(w, "write_ops", sum_of(text, " wios="));
}

static void put_pids(struct mpw *w, const struct cgroup *cgroup) {
    mpw_string(w, "pids");
    mpw_map(w, 2);
    put(w, "current", cgroup_read(cgroup, "pids.current", 0));
    put(w, "limit", cgroup_read(cgroup, "pids.max", ABSENT));
}

static bool put_interface(struct mpw *w, const char *line) {
    static const char *const keys[] = {"rx_bytes", "rx_packets", "rx_errors", "rx_dropped",
                                       "tx_bytes", "tx_packets", "tx_errors", "tx_dropped"};
    unsigned long long counts[COUNT(keys)];
    char name[32];
    if (sscanf(line, " %31[^: ]: %llu %llu %llu %llu %*u %*u %*u %*u %llu %llu %llu %llu", name, &counts[0],
               &counts[1], &counts[2], &counts[3], &counts[4], &counts[5], &counts[6], &counts[7]) != 9)
        return false;
    mpw_map(w, 1 + COUNT(keys));
    mpw_string(w, "name");
    mpw_lossy(w, name, strlen(name));
    for (size_t i = 0; i < COUNT(keys); i++)
        put(w, keys[i], counts[i]);
    return true;
}

/* The network is the machine's. */
static void put_interfaces(struct mpw *w) {
    _cleanup_free_ char *text = NULL;
    uint32_t count = 0;
    mpw_string(w, "interfaces");
    size_t opened = mpw_open_array(w);
    if (read_text(AT_FDCWD, "/proc/net/dev", FILE_BYTES, &text) >= 0)
        for (char *line = text; line != NULL && count < MOST_INTERFACES; line = strchr(line, '\n')) {
            line += *line == '\n';
            count += put_interface(w, line);
        }
    mpw_patch_array(w, opened, count);
}

/* Of the same clock as the times of processors. */
static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

struct stats_request {
    char *container;
};

static const struct field stats_fields[] = {REQUEST_FIELDS, NEED(stats_request, container, FIELD_STRING)};

int op_stats(struct span request, struct mpw *ok) {
    struct mp mp = mp_over(request);
    struct stats_request wanted;
    int error = fields_decode(&mp, stats_fields, COUNT(stats_fields), &wanted);
    if (error < 0)
        return error;
    const struct container *container = container_find_running("stats", wanted.container);
    if (container == NULL)
        return -failure_last()->error;
    if (container->cgroup.fd < 0)
        return fail(EOPNOTSUPP, "stats", "container %s has no cgroup", wanted.container);
    mpw_map(ok, 6);
    put(ok, "time_us", now_us());
    put_cpu(ok, &container->cgroup);
    put_memory(ok, &container->cgroup);
    put_io(ok, &container->cgroup);
    put_pids(ok, &container->cgroup);
    put_interfaces(ok);
    return 0;
}
