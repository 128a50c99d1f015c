#include "tar_write.h"

#include <stdio.h>
#include <string.h>

#define BUFFER_BYTES (1u << 18)
#define NAME_BYTES 100u
#define MOST_OCTAL_ID 07777777u
#define MOST_OCTAL_SIZE 077777777777ull

static uint8_t buffer[BUFFER_BYTES], records[TAR_RECORDS_BYTES];
static size_t records_used;

/* ---- bytes ---- */

int tar_flush(struct tar_writer *writer) {
    for (size_t at = 0; at < writer->used;) {
        ssize_t written = write(writer->fd, buffer + at, writer->used - at);
        if (written < 0 && errno != EINTR)
            return fail(errno, "write the archive", "the stream");
        at += written < 0 ? 0 : (size_t)written;
    }
    writer->used = 0;
    return 0;
}

uint8_t *tar_room(struct tar_writer *writer, size_t *room) {
    *room = sizeof(buffer) - writer->used;
    return buffer + writer->used;
}

int tar_filled(struct tar_writer *writer, size_t length) {
    writer->used += length;
    return writer->used == sizeof(buffer) ? tar_flush(writer) : 0;
}

int tar_put(struct tar_writer *writer, const void *bytes, size_t length) {
    int error = 0;
    for (size_t part, room; length > 0 && error == 0; length -= part) {
        uint8_t *at = tar_room(writer, &room);
        part = MIN(length, room);
        memcpy(at, bytes, part);
        bytes = (const uint8_t *)bytes + part;
        error = tar_filled(writer, part);
    }
    return error;
}

int tar_put_padding(struct tar_writer *writer, uint64_t length) {
    static const uint8_t zeros[TAR_BLOCK_BYTES];
    return tar_put(writer, zeros, (size_t)(-length & (TAR_BLOCK_BYTES - 1)));
}

int tar_put_end(struct tar_writer *writer) {
    static const uint8_t zeros[2 * TAR_BLOCK_BYTES];
    int error = tar_put(writer, zeros, sizeof(zeros));
    return error < 0 ? error : tar_flush(writer);
}

/* ---- pax records ---- */

/* A record's length counts its own digits. */
static size_t record_bytes(size_t body) {
    size_t digits = 1, most = 10;
    while (digits + body >= most) {
        digits++;
        most *= 10;
    }
    return digits + body;
}

static int add_record(const char *keyword, const char *name, const void *value, size_t length) {
    size_t size = record_bytes(strlen(keyword) + strlen(name) + length + 3);
    if (size > sizeof(records) - records_used)
        return -E2BIG;
    char *at = (char *)records + records_used;
    int head = snprintf(at, size, "%zu %s%s=", size, keyword, name);
    memcpy(at + head, value, length);
    at[size - 1] = '\n';
    records_used += size;
    return 0;
}

static int add_text(const char *keyword, const char *text) {
    return add_record(keyword, "", text, strlen(text));
}

static int add_number(const char *keyword, uint64_t number) {
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    return add_text(keyword, text);
}

static int add_time(const struct tar_time *time) {
    char text[48], *end = text + sizeof(text);
    int64_t seconds = time->seconds;
    uint32_t fraction = time->nanoseconds;
    bool negative = seconds < 0;
    if (negative) {
        /* -1.25 is two seconds back and 0.75 forward. */
        seconds = -seconds - (fraction > 0);
        fraction = fraction > 0 ? 1000000000u - fraction : 0;
    }
    int length = snprintf(text, sizeof(text), "%s%lld", negative ? "-" : "", (long long)seconds);
    if (fraction > 0)
        snprintf(text + length, (size_t)(end - text - length), ".%09u", fraction);
    return add_text("mtime", text);
}

static int add_sparse(const struct tar_entry *entry) {
    int error = add_text("GNU.sparse.major", "1");
    if (error == 0)
        error = add_text("GNU.sparse.minor", "0");
    if (error == 0)
        error = add_text("GNU.sparse.name", entry->path);
    return error < 0 ? error : add_number("GNU.sparse.realsize", entry->size);
}

/* What the header cannot say. */
static int add_records(const struct tar_entry *entry, uint64_t content_bytes) {
    const struct tar_time *mtime = &entry->mtime;
    int error = 0;
    records_used = 0;
    if (entry->sparse)
        error = add_sparse(entry);
    else if (strlen(entry->path) > NAME_BYTES)
        error = add_text("path", entry->path);
    if (error == 0 && strlen(entry->link) > NAME_BYTES)
        error = add_text("linkpath", entry->link);
    if (error == 0 && entry->uid > MOST_OCTAL_ID)
        error = add_number("uid", entry->uid);
    if (error == 0 && entry->gid > MOST_OCTAL_ID)
        error = add_number("gid", entry->gid);
    if (error == 0 && content_bytes > MOST_OCTAL_SIZE)
        error = add_number("size", content_bytes);
    if (error == 0 && (mtime->nanoseconds > 0 || mtime->seconds < 0 || (uint64_t)mtime->seconds > MOST_OCTAL_SIZE))
        error = add_time(mtime);
    for (uint32_t i = 0; i < entry->xattr_count && error == 0; i++)
        error = add_record("SCHILY.xattr.", entry->xattrs[i].name, entry->xattrs[i].value, entry->xattrs[i].length);
    return error;
}

static int put_records(struct tar_writer *writer) {
    static struct tar_entry extended; /* most of it stays as it is: zeros */
    uint8_t block[TAR_BLOCK_BYTES];
    extended.mode = 0644;
    extended.held = records_used;
    tar_write_header(block, TAR_PAX, "PaxHeaders/entry", &extended);
    int error = tar_put(writer, block, sizeof(block));
    if (error == 0)
        error = tar_put(writer, records, records_used);
    return error < 0 ? error : tar_put_padding(writer, records_used);
}

/* ---- entries ---- */

/* Format 1.0 of GNU's sparse files: a count and pairs as decimal lines, in whole blocks. */
static size_t map_bytes(const struct tar_entry *entry, struct tar_writer *writer, int *error) {
    char line[48];
    size_t total = 0;
    for (uint32_t i = 0; i <= entry->region_count; i++) {
        const struct tar_region *region = i == 0 ? NULL : &entry->regions[i - 1];
        int length = region == NULL ? snprintf(line, sizeof(line), "%u\n", entry->region_count)
                                    : snprintf(line, sizeof(line), "%llu\n%llu\n", (unsigned long long)region->offset,
                                               (unsigned long long)region->length);
        total += (size_t)length;
        if (writer != NULL && *error == 0)
            *error = tar_put(writer, line, (size_t)length);
    }
    if (writer != NULL && *error == 0)
        *error = tar_put_padding(writer, total);
    return (total + TAR_BLOCK_BYTES - 1) & ~(size_t)(TAR_BLOCK_BYTES - 1);
}

static int put_header(struct tar_writer *writer, const struct tar_entry *entry, uint64_t content_bytes) {
    static struct tar_entry shown; /* all but the regions */
    uint8_t block[TAR_BLOCK_BYTES];
    char path[NAME_BYTES + 1];
    const char *slash = strrchr(entry->path, '/');
    snprintf(path, sizeof(path), entry->sparse ? "GNUSparseFile.0/%s" : "%s",
             entry->sparse && slash != NULL ? slash + 1 : entry->path);
    shown.mode = entry->mode & 07777;
    shown.uid = entry->uid > MOST_OCTAL_ID ? 0 : entry->uid;
    shown.gid = entry->gid > MOST_OCTAL_ID ? 0 : entry->gid;
    shown.held = content_bytes;
    shown.mtime = entry->mtime;
    shown.major = entry->major;
    shown.minor = entry->minor;
    strcpy(shown.link, entry->link);
    tar_write_header(block, (char)entry->kind, path, &shown);
    return tar_put(writer, block, sizeof(block));
}

int tar_put_entry(struct tar_writer *writer, const struct tar_entry *entry) {
    int error = 0;
    uint64_t content_bytes = entry->held + (entry->sparse ? map_bytes(entry, NULL, NULL) : 0);
    if (add_records(entry, content_bytes) < 0)
        return fail(E2BIG, "write the archive", "%s: too many attributes", entry->path);
    if (records_used > 0)
        error = put_records(writer);
    if (error == 0)
        error = put_header(writer, entry, content_bytes);
    if (error == 0 && entry->sparse)
        map_bytes(entry, writer, &error);
    return error;
}
