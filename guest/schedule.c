#include "schedule.h"

#include <linux/ioprio.h>
#include <linux/sched/types.h>
#include <sys/resource.h>
#include <sys/syscall.h>

struct schedule {
    uint32_t policy, priority;
    int32_t nice;
    uint64_t flags;
};

static const struct field schedule_fields[] = {
    NEED(schedule, policy, FIELD_U32), MAY(schedule, priority, FIELD_U32), MAY(schedule, nice, FIELD_I32),
    MAY(schedule, flags, FIELD_U64),
};

int schedule_take(struct span wanted) {
    /* Without a word it is what any process has, and not what the agent gave itself; but as nice as whoever started
     * us, which few may take back. */
    struct schedule schedule = {.nice = wanted.length == 0 ? getpriority(PRIO_PROCESS, 0) : 0};
    struct mp mp = mp_over(wanted);
    int error = wanted.length == 0 ? 0 : fields_decode(&mp, schedule_fields, COUNT(schedule_fields), &schedule);
    if (error < 0)
        return error;
    struct sched_attr attr = {
        .size = sizeof(attr), .sched_policy = schedule.policy, .sched_flags = schedule.flags,
        .sched_nice = schedule.nice, .sched_priority = schedule.priority,
    };
    if (syscall(SYS_sched_setattr, 0, &attr, 0) < 0)
        return fail(errno, "scheduler", "policy %u, priority %u, nice %d", schedule.policy, schedule.priority,
                    schedule.nice);
    return 0;
}

int schedule_take_io(uint32_t priority) {
    if (priority != 0 && syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority) < 0)
        return fail(errno, "io priority", "%#x", priority);
    return 0;
}
