#include "tar.h"

#include <stdio.h>
#include <string.h>

struct span_of {
    size_t at, length;
};

static const struct span_of NAME = {0, 100}, MODE = {100, 8}, UID = {108, 8}, GID = {116, 8}, SIZE = {124, 12},
                            MTIME = {136, 12}, CHECKSUM = {148, 8}, LINK = {157, 100}, MAJOR = {329, 8},
                            MINOR = {337, 8}, PREFIX = {345, 155};
#define TYPE_AT 156
#define MAGIC_AT 257

static int64_t from_base256(const uint8_t *field, size_t length, bool *fits) {
    bool negative = field[0] == 0xff;
    uint64_t value = negative ? UINT64_MAX : 0;
    for (size_t i = 1; i < length; i++) {
        /* What is shifted out has to be sign and no more. */
        if (value >> 55 != (negative ? 0x1ff : 0))
            *fits = false;
        value = value << 8 | field[i];
    }
    return (int64_t)value;
}

int tar_number(const uint8_t *field, size_t length, int64_t *value) {
    bool fits = true;
    size_t at = 0;
    if (field[0] == 0x80 || field[0] == 0xff) {
        *value = from_base256(field, length, &fits);
        return fits ? 0 : -EBADMSG;
    }
    while (at < length && (field[at] == ' ' || field[at] == '\0'))
        at++;
    uint64_t number = 0;
    for (; at < length && field[at] >= '0' && field[at] <= '7'; at++)
        number = number << 3 | (uint64_t)(field[at] - '0');
    /* Behind a NUL some writers leave what their buffer held before. */
    while (at < length && field[at] == ' ')
        at++;
    if (at < length && field[at] != '\0')
        return -EBADMSG;
    *value = (int64_t)number;
    return 0;
}

bool tar_is_header(const uint8_t *block) {
    int64_t claimed, plain = 0, odd = 0;
    if (tar_number(block + CHECKSUM.at, CHECKSUM.length, &claimed) < 0)
        return false;
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++) {
        bool own = i >= CHECKSUM.at && i < CHECKSUM.at + CHECKSUM.length;
        plain += own ? ' ' : block[i];
        odd += own ? ' ' : (int8_t)block[i]; /* old tars added the bytes as signed numbers */
    }
    return claimed == plain || claimed == odd;
}

static void copy_text(char *out, const uint8_t *block, struct span_of field) {
    size_t length = strnlen((const char *)block + field.at, field.length);
    memcpy(out, block + field.at, length);
    out[length] = '\0';
}

/* POSIX keeps the front of a long name apart; GNU tar ("ustar  ") has times in that place. */
static void read_path(const uint8_t *block, char *path) {
    size_t length = 0;
    if (memcmp(block + MAGIC_AT, "ustar", 6) == 0 && block[PREFIX.at] != '\0') {
        copy_text(path, block, PREFIX);
        length = strlen(path);
        path[length++] = '/';
    }
    copy_text(path + length, block, NAME);
}

static int read_small(const uint8_t *block, struct span_of field, uint32_t *out) {
    int64_t value;
    if (tar_number(block + field.at, field.length, &value) < 0 || value < 0 || value > UINT32_MAX)
        return -EBADMSG;
    *out = (uint32_t)value;
    return 0;
}

int tar_read_header(const uint8_t *block, struct tar_entry *entry) {
    int64_t size, seconds;
    char type = (char)block[TYPE_AT];
    entry->kind = type == '\0' || type == '7' ? TAR_FILE : (enum tar_kind)type;
    entry->sparse = false;
    entry->region_count = entry->xattr_count = entry->major = entry->minor = 0;
    read_path(block, entry->path);
    copy_text(entry->link, block, LINK);
    if (read_small(block, MODE, &entry->mode) < 0)
        return fail(EBADMSG, "read the archive", "%s: its mode", entry->path);
    if (read_small(block, UID, &entry->uid) < 0 || read_small(block, GID, &entry->gid) < 0)
        return fail(EBADMSG, "read the archive", "%s: its owner", entry->path);
    if (tar_number(block + SIZE.at, SIZE.length, &size) < 0 || size < 0 || (uint64_t)size >= TAR_SIZE_LIMIT)
        return fail(EBADMSG, "read the archive", "%s: its size", entry->path);
    if (tar_number(block + MTIME.at, MTIME.length, &seconds) < 0)
        return fail(EBADMSG, "read the archive", "%s: its time", entry->path);
    bool device = type == TAR_CHAR_DEVICE || type == TAR_BLOCK_DEVICE;
    if (device && (read_small(block, MAJOR, &entry->major) < 0 || read_small(block, MINOR, &entry->minor) < 0))
        return fail(EBADMSG, "read the archive", "%s: its device number", entry->path);
    entry->mode &= 07777;
    entry->mtime = (struct tar_time){seconds, 0};
    entry->size = entry->held = (uint64_t)size;
    return 0;
}

static void put_octal(uint8_t *block, struct span_of field, uint64_t value) {
    char digits[24];
    int width = (int)field.length - 1;
    if (value >> 3 * width != 0)
        value = 0;
    snprintf(digits, sizeof(digits), "%0*llo", width, (unsigned long long)value);
    memcpy(block + field.at, digits, (size_t)width);
}

static void put_text(uint8_t *block, struct span_of field, const char *text) {
    memcpy(block + field.at, text, strnlen(text, field.length));
}

void tar_write_header(uint8_t *block, char type, const char *path, const struct tar_entry *entry) {
    memset(block, 0, TAR_BLOCK_BYTES);
    put_text(block, NAME, path);
    put_octal(block, MODE, entry->mode);
    put_octal(block, UID, entry->uid);
    put_octal(block, GID, entry->gid);
    put_octal(block, SIZE, entry->held);
    put_octal(block, MTIME, entry->mtime.seconds < 0 ? 0 : (uint64_t)entry->mtime.seconds);
    block[TYPE_AT] = (uint8_t)type;
    put_text(block, LINK, entry->link);
    memcpy(block + MAGIC_AT, "ustar\0" "00", 8);
    put_octal(block, MAJOR, entry->major);
    put_octal(block, MINOR, entry->minor);
    memset(block + CHECKSUM.at, ' ', CHECKSUM.length);
    uint32_t sum = 0;
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        sum += block[i];
    snprintf((char *)block + CHECKSUM.at, CHECKSUM.length, "%06o", sum);
}
