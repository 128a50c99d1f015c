#include "clock.h"

#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define LEAST_SEED_BYTES 32u
#define MOST_SEED_BYTES 512u

struct clock_request {
    uint64_t sec;
    uint32_t nsec;
};

static const struct field clock_fields[] = {
    REQUEST_FIELDS,
    NEED(clock_request, sec, FIELD_U64),
    NEED(clock_request, nsec, FIELD_U32),
};

int op_clock(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct clock_request clock;
    int error = fields_decode(&mp, clock_fields, COUNT(clock_fields), &clock);
    if (error < 0)
        return error;
    struct timespec now = {.tv_sec = (time_t)clock.sec, .tv_nsec = clock.nsec};
    return clock_settime(CLOCK_REALTIME, &now) < 0 ? fail(errno, "clock", "CLOCK_REALTIME") : 0;
}

struct entropy_request {
    struct span seed;
};

static const struct field entropy_fields[] = {REQUEST_FIELDS, NEED(entropy_request, seed, FIELD_BYTES)};

int op_entropy(struct span request, struct mpw *ok) {
    struct mp mp = mp_over(request);
    struct entropy_request entropy;
    int error = fields_decode(&mp, entropy_fields, COUNT(entropy_fields), &entropy);
    if (error < 0)
        return error;
    if (entropy.seed.length < LEAST_SEED_BYTES || entropy.seed.length > MOST_SEED_BYTES)
        return fail(EINVAL, "entropy", "a seed of %u bytes", entropy.seed.length);
    struct {
        struct rand_pool_info info;
        uint8_t bytes[MOST_SEED_BYTES];
    } pool;
    pool.info.entropy_count = (int)entropy.seed.length * 8;
    pool.info.buf_size = (int)entropy.seed.length;
    memcpy(pool.bytes, entropy.seed.bytes, entropy.seed.length);
    _cleanup_fd_ int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
        return fail(errno, "entropy", "/dev/urandom");
    mpw_map(ok, 1);
    mpw_string(ok, "boot");
    mpw_binary(ok, control_draw_boot(), CONTROL_BOOT_BYTES);
    return 0;
}
