/* Tar archives as values: what a header says, and the bounds of what one may say. Everything here is bytes to
 * values and back, without I/O.
 *
 * Read: ustar, GNU (long names, sparse files, numbers in base 256) and pax (POSIX.1-2017; SCHILY.xattr of star and
 * GNU tar, LIBARCHIVE.xattr of bsdtar, GNU.sparse 0.0, 0.1 and 1.0). Written: pax. */
#pragma once

#include "failure.h"

#define TAR_BLOCK_BYTES 512u
#define TAR_PATH_BYTES 4096u           /* PATH_MAX, with the NUL */
#define TAR_RECORDS_BYTES (1u << 20)   /* all pax records before one entry */
#define TAR_GLOBALS_BYTES (1u << 16)   /* all global ones */
#define TAR_REGIONS 65536u             /* of a sparse file */
#define TAR_XATTRS 128u                /* of one entry */
#define TAR_SIZE_LIMIT (1ull << 60)

enum tar_kind {
    TAR_FILE = '0',
    TAR_HARD_LINK = '1',
    TAR_SYMLINK = '2',
    TAR_CHAR_DEVICE = '3',
    TAR_BLOCK_DEVICE = '4',
    TAR_DIRECTORY = '5',
    TAR_FIFO = '6',
    TAR_SPARSE_FILE = 'S', /* GNU's old format; an entry of it is a TAR_FILE with regions */
    TAR_LONG_NAME = 'L',
    TAR_LONG_LINK = 'K',
    TAR_PAX = 'x',
    TAR_PAX_OLD = 'X', /* Solaris, before the standard */
    TAR_PAX_GLOBAL = 'g',
    TAR_VOLUME = 'V', /* GNU's label of the archive */
};

struct tar_time {
    int64_t seconds;
    uint32_t nanoseconds;
};

struct tar_region {
    uint64_t offset, length;
};

struct tar_xattr {
    const char *name;
    const void *value;
    size_t length;
};

struct tar_entry {
    enum tar_kind kind;
    char path[TAR_PATH_BYTES], link[TAR_PATH_BYTES];
    uint32_t mode, uid, gid, major, minor;
    struct tar_time mtime;
    uint64_t size; /* of the file; `held` bytes of it are in the archive */
    uint64_t held;
    bool sparse; /* those are the regions, the rest is a hole */
    struct tar_region regions[TAR_REGIONS];
    uint32_t region_count;
    struct tar_xattr xattrs[TAR_XATTRS];
    uint32_t xattr_count;
};

/* ---- headers ---- */

/* Whether `block` has the checksum that it claims. */
bool tar_is_header(const uint8_t *block);

/* What the header alone says of an entry, whatever its type; `held` is its size field. Returns 0, or -errno with
 * the failure recorded. */
int tar_read_header(const uint8_t *block, struct tar_entry *entry);

/* A numeric field: octal digits with blanks or NULs around them, or GNU's base 256. Returns 0 or -EBADMSG. */
int tar_number(const uint8_t *field, size_t length, int64_t *value);

/* Writes the header of an entry whose path fits into 100 bytes or is cut to them. What a field cannot hold is 0
 * there: a pax record says it. */
void tar_write_header(uint8_t *block, char type, const char *path, const struct tar_entry *entry);

/* ---- pax records ---- */

/* One record after tar_check_records; `value` has a NUL behind, and may hold more. */
struct tar_record {
    const char *keyword, *value;
    size_t length;
};

/* Checks the `length` bytes of an extended header, and ends each keyword and value with a NUL in place of its `=`
 * and newline. Returns 0 or -EBADMSG. */
int tar_check_records(uint8_t *bytes, size_t length);

/* Takes the record at `*at` of such bytes. Returns whether there was one. */
bool tar_next_record(const uint8_t *bytes, size_t length, size_t *at, struct tar_record *record);

/* Their values. Return 0 or -EBADMSG. */
int tar_record_number(const char *text, int64_t *value);
int tar_record_time(const char *text, struct tar_time *time);

/* Decodes base64 in place, as LIBARCHIVE.xattr has it, padded or not. Returns 0 or -EBADMSG. */
int tar_decode_base64(uint8_t *bytes, size_t *length);
