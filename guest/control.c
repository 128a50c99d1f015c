#include "control.h"

#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>

#include "clock.h"
#include "connection.h"
#include "container.h"
#include "freeze.h"
#include "guard.h"
#include "hold.h"
#include "identity.h"
#include "listener.h"
#include "limit.h"
#include "module.h"
#include "network.h"
#include "port.h"
#include "power.h"
#include "proc.h"
#include "ps.h"
#include "spawn.h"
#include "store.h"
#include "tree.h"
#include "stats.h"

struct op {
    const char *name;
    op_function *serve;
    bool machine; /* acts on the machine, so it needs one of our own */
};

static op_function op_batch;

static const struct op ops[] = {
    {"batch", op_batch, false},          {"clock", op_clock, true},     {"entropy", op_entropy, true},
    {"load", op_load, true},             {"network", op_network, true}, {"container", op_container, false},
    {"guard", op_guard, true},           {"unplug", op_unplug, true},   {"files", op_files, false},
    {"spawn", op_spawn, false},          {"signal", op_signal, false},  {"resize", op_resize, false},
    {"ps", op_ps, false},                {"forget", op_forget, false},  {"remove", op_remove, false},
    {"sync", op_sync, false},            {"poweroff", op_poweroff, false},
    {"identity", op_identity, false},    {"freeze", op_freeze, false},
    {"thaw", op_thaw, false},            {"hold", op_hold, true},
    {"release", op_release, true},       {"connect", op_connect, false},
    {"hangup", op_hangup, false},        {"listen", op_listen, false},
    {"accept", op_accept, false},        {"unlisten", op_unlisten, false},
    {"unpack", op_unpack, false},        {"pack", op_pack, false},
    {"stat", op_stat, false},
    {"limit", op_limit, false},          {"stats", op_stats, false},
    {"mount", op_mount, true},           {"unmount", op_unmount, true}, {"sweep", op_sweep, true},
};

struct head {
    char *op;
    uint64_t id;
    bool has_id;
};

static bool machine_owned;
static int failed_index = -1;
static uint64_t began_ns;

void control_own_machine(bool owned) {
    machine_owned = owned;
}

static bool is_key(const char *name, const uint8_t *key, uint32_t length) {
    return strlen(name) == length && memcmp(name, key, length) == 0;
}

/* Finds `op` and `id` in a request; the op's own table judges the other keys. */
static int read_head(struct span request, struct head *head, char op[16]) {
    struct mp mp = mp_over(request);
    uint32_t pairs, length;
    const uint8_t *key, *value;
    *head = (struct head){.op = op};
    op[0] = '\0';
    if (mp_map(&mp, &pairs) < 0)
        return -EPROTO;
    for (uint32_t i = 0; i < pairs; i++) {
        if (mp_bytes(&mp, &key, &length) < 0)
            return -EPROTO;
        if (is_key("id", key, length)) {
            head->has_id = mp_unsigned(&mp, &head->id) == 0 && head->id <= UINT32_MAX;
            if (!head->has_id)
                return -EPROTO;
        } else if (is_key("op", key, length)) {
            if (mp_bytes(&mp, &value, &length) < 0)
                return -EPROTO;
            length = MIN(length, 15u);
            memcpy(op, value, length);
            op[length] = '\0';
        } else if (mp_skip(&mp, MSGPACK_DEPTH - 1) < 0) {
            return -EPROTO;
        }
    }
    return mp.at == mp.end ? 0 : -EPROTO;
}

/* Serves one op and writes its answer, an empty map where it has nothing to say. */
static int serve(const char *name, struct span request, struct mpw *ok) {
    const struct op *op = ops;
    while (op < ops + COUNT(ops) && strcmp(op->name, name) != 0)
        op++;
    if (op == ops + COUNT(ops))
        return fail(ENOSYS, "request", "op %s", name);
    if (op->machine && !machine_owned)
        return fail(EPERM, name, "the machine is not the agent's");
    size_t before = ok->length;
    int error = op->serve(request, ok);
    if (error == 0 && ok->length == before)
        mpw_map(ok, 0);
    return error;
}

static int serve_batched(struct span request, struct mpw *ok) {
    struct head head;
    char op[16];
    if (read_head(request, &head, op) < 0)
        return fail(EINVAL, "request", "batch");
    if (head.has_id || strcmp(op, "batch") == 0)
        return fail(EINVAL, "request", "%s", head.has_id ? "id" : "batch");
    arena_reset();
    return serve(op, request, ok);
}

struct batch {
    struct span ops;
};

static const struct field batch_fields[] = {REQUEST_FIELDS, NEED(batch, ops, FIELD_VALUE)};

static int op_batch(struct span request, struct mpw *ok) {
    struct mp mp = mp_over(request);
    struct batch batch;
    uint32_t count;
    int error = fields_decode(&mp, batch_fields, COUNT(batch_fields), &batch);
    if (error < 0)
        return error;
    mp = mp_over(batch.ops);
    if (mp_array(&mp, &count) < 0)
        return fail(EINVAL, "request", "ops");
    mpw_map(ok, 1);
    mpw_string(ok, "results");
    mpw_array(ok, count);
    for (uint32_t i = 0; i < count; i++) {
        struct span each = {.bytes = mp.at};
        if (mp_skip(&mp, MSGPACK_DEPTH) < 0)
            return fail(EINVAL, "request", "ops");
        each.length = (uint32_t)(mp.at - each.bytes);
        error = serve_batched(each, ok);
        if (error < 0) {
            failed_index = (int)i;
            return error;
        }
    }
    return 0;
}

/* An answer is written here and queued when it is whole: an op may send events of its own meanwhile. */
static uint8_t answer[MAX_CONTROL_BYTES];

static void open_answer(struct mpw *w, uint32_t id, const char *outcome) {
    *w = (struct mpw){.bytes = answer, .room = sizeof(answer)};
    mpw_map(w, 2);
    mpw_string(w, "re");
    mpw_unsigned(w, id);
    mpw_string(w, outcome);
}

static void refuse(uint32_t id) {
    const struct failure *why = failure_last();
    struct mpw w;
    open_answer(&w, id, "err");
    mpw_map(&w, failed_index >= 0 ? 4 : 3);
    mpw_string(&w, "errno");
    mpw_unsigned(&w, (uint64_t)why->error);
    mpw_string(&w, "step");
    mpw_string(&w, why->step);
    mpw_string(&w, "object");
    mpw_lossy(&w, why->object, strlen(why->object));
    if (failed_index >= 0) {
        mpw_string(&w, "index");
        mpw_unsigned(&w, (uint64_t)failed_index);
    }
    port_send_control(&w);
}

int control_request(const uint8_t *bytes, uint32_t length) {
    struct span request = {bytes, length};
    struct head head;
    char op[16];
    if (read_head(request, &head, op) < 0 || !head.has_id)
        return -EPROTO;
    arena_reset();
    failed_index = -1;
    struct mpw w;
    open_answer(&w, (uint32_t)head.id, "ok");
    int error = serve(op, request, &w);
    if (error == 0 && !port_send_control(&w))
        error = fail(EMSGSIZE, op, "the answer is larger than a frame");
    if (error < 0)
        refuse((uint32_t)head.id);
    return 0;
}

static uint64_t boottime_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void control_begin(void) {
    began_ns = boottime_ns();
}

static uint8_t boot[CONTROL_BOOT_BYTES];
static bool boot_drawn;

const uint8_t *control_draw_boot(void) {
    boot_drawn = getrandom(boot, sizeof(boot), GRND_INSECURE) == sizeof(boot);
    return boot;
}

void control_hello(void) {
    struct utsname system;
    struct mpw w;
    uname(&system);
    w = (struct mpw){.bytes = answer, .room = sizeof(answer)};
    mpw_map(&w, 9);
    mpw_string(&w, "ev");
    mpw_string(&w, "hello");
    mpw_string(&w, "v");
    mpw_unsigned(&w, WIRE_VERSION);
    mpw_string(&w, "agent");
    mpw_string(&w, AGENT_VERSION);
    mpw_string(&w, "boot");
    mpw_binary(&w, boot_drawn ? boot : control_draw_boot(), sizeof(boot));
    mpw_string(&w, "kernel");
    mpw_string(&w, system.release);
    mpw_string(&w, "began_ns");
    mpw_unsigned(&w, began_ns);
    mpw_string(&w, "ready_ns");
    mpw_unsigned(&w, boottime_ns());
    mpw_string(&w, "procs");
    procs_write(&w);
    mpw_string(&w, "containers");
    containers_write(&w);
    port_send_control(&w);
}
