#include "device.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <time.h>

/* linux/ext4.h, which user space has only since 6.11 */
#define EXT4_IOC_RESIZE_FS_ _IOW('f', 16, uint64_t)
#define SUPERBLOCK_AT 1024
#define APPEARS_MS 1000
/* A request to a virtual disk costs about the same whatever its size, so ask for more at a time than the kernel
 * does by itself (128 KiB). In sectors. */
#define READ_AHEAD 1024ul

/* The fields of ext4's superblock that say its size; see Documentation/filesystems/ext4/super.rst. */
struct superblock {
    uint8_t raw[1024];
};

static uint32_t u32_at(const struct superblock *superblock, size_t at) {
    uint32_t value;
    memcpy(&value, superblock->raw + at, sizeof(value));
    return value;
}

/* A device whose driver was just loaded may take a moment. */
int device_open(const char *device) {
    const struct timespec pause = {.tv_nsec = 500000};
    int64_t deadline = now_ms() + APPEARS_MS;
    for (;;) {
        int fd = open(device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0 || errno != ENOENT || now_ms() > deadline)
            return fd < 0 ? -errno : fd;
        nanosleep(&pause, NULL);
    }
}

/* Together they spare ext4 a kernel thread, which would read bitmaps that a short life never needs. */
static const char *const idle[] = {"noinit_itable", "no_prefetch_block_bitmaps"};

static int try_mount(const char *device, const char *type, bool readonly) {
    _cleanup_fd_ int fd = fsopen(type, FSOPEN_CLOEXEC);
    if (fd < 0 || fsconfig(fd, FSCONFIG_SET_STRING, "source", device, 0) < 0)
        return -errno;
    if (readonly && fsconfig(fd, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
        return -errno;
    for (size_t i = 0; i < COUNT(idle); i++)
        (void)fsconfig(fd, FSCONFIG_SET_FLAG, idle[i], NULL, 0); /* another type, or an older kernel, lacks it */
    if (fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    int mount_fd = fsmount(fd, FSMOUNT_CLOEXEC, 0);
    return mount_fd < 0 ? -errno : mount_fd;
}

/* Ready to be mounted, as it is now. Returns 0 or -errno. */
static int refresh(const char *device, bool locked) {
    const int on = 1;
    _cleanup_fd_ int fd = device_open(device);
    if (fd < 0)
        return fd;
    if (ioctl(fd, BLKFLSBUF, 0) < 0)
        return errno == ENOTTY ? -ENOTBLK : -errno;
    if (ioctl(fd, BLKRASET, READ_AHEAD) < 0 || (locked && ioctl(fd, BLKROSET, &on) < 0))
        return -errno;
    return 0;
}

int device_mount_locked(const char *device, const char *type) {
    int error = refresh(device, true);
    return error < 0 ? error : try_mount(device, type, true);
}

int device_mount(const char *device, const char *type, bool readonly) {
    int error = refresh(device, false);
    if (error < 0)
        return error;
    /* Writable at first even for a read-only root: missing mount points are still to be made. */
    int mount_fd = try_mount(device, type, false);
    if (readonly && (mount_fd == -EACCES || mount_fd == -EROFS))
        mount_fd = try_mount(device, type, true);
    return mount_fd;
}

int device_grow(const char *device, int root_fd, uint64_t bytes) {
    struct superblock superblock;
    _cleanup_fd_ int fd = open(device, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (pread(fd, superblock.raw, sizeof(superblock.raw), SUPERBLOCK_AT) != sizeof(superblock.raw))
        return -EIO;
    uint32_t block_shift = 10 + u32_at(&superblock, 0x18);
    if (block_shift > 16)
        return -EUCLEAN;
    uint64_t blocks = u32_at(&superblock, 0x4) | (uint64_t)u32_at(&superblock, 0x150) << 32;
    uint64_t wanted = bytes >> block_shift;
    if (wanted <= blocks)
        return 0;
    _cleanup_fd_ int root = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return root < 0 || ioctl(root, EXT4_IOC_RESIZE_FS_, &wanted) < 0 ? -errno : 0;
}
