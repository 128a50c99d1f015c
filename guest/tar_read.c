#include "tar_read.h"

#include <string.h>

static uint8_t unwanted[65536];

static int cut_short(const struct tar_reader *reader) {
    return fail(EBADMSG, "read the archive", "%s: the archive is cut short", reader->name);
}

static int malformed(const struct tar_reader *reader, const char *what) {
    return fail(EBADMSG, "read the archive", "%s: %s", reader->name, what);
}

/* ---- bytes ---- */

/* Takes `length` bytes. Returns 1, 0 where the stream had ended before the first, or -errno. */
static int take(struct tar_reader *reader, uint8_t *bytes, size_t length) {
    for (size_t at = 0; at < length;) {
        ssize_t got = reader->source(reader->context, bytes + at, length - at);
        if (got < 0)
            return fail((int)-got, "read the archive", "%s", reader->name);
        if (got == 0)
            return at == 0 ? 0 : cut_short(reader);
        at += (size_t)got;
    }
    return 1;
}

static int need(struct tar_reader *reader, uint8_t *bytes, size_t length) {
    int taken = length == 0 ? 1 : take(reader, bytes, length);
    return taken == 0 ? cut_short(reader) : taken < 0 ? taken : 0;
}

static int skip(struct tar_reader *reader, uint64_t length) {
    int error = 0;
    for (size_t part; length > 0 && error == 0; length -= part) {
        part = MIN(length, sizeof(unwanted));
        error = need(reader, unwanted, part);
    }
    return error;
}

static uint32_t padding_of(uint64_t length) {
    return (uint32_t)(-length & (TAR_BLOCK_BYTES - 1));
}

ssize_t tar_content(struct tar_reader *reader, void *bytes, size_t length) {
    if (reader->content_left == 0)
        return 0;
    ssize_t got = reader->source(reader->context, bytes, MIN(length, reader->content_left));
    if (got == 0)
        return cut_short(reader);
    if (got < 0)
        return fail((int)-got, "read the archive", "%s", reader->name);
    reader->content_left -= (uint64_t)got;
    return got;
}

void tar_took(struct tar_reader *reader, uint64_t length) {
    reader->content_left -= length;
}

int tar_drain(struct tar_reader *reader) {
    ssize_t got;
    do
        got = reader->source(reader->context, unwanted, sizeof(unwanted));
    while (got > 0);
    return got < 0 ? fail((int)-got, "read the archive", "its end") : 0;
}

/* ---- what stands before an entry ---- */

static int take_long_name(struct tar_reader *reader, uint64_t size, char *out) {
    if (size > TAR_PATH_BYTES)
        return malformed(reader, "a name longer than a path can be");
    uint8_t content[TAR_PATH_BYTES + TAR_BLOCK_BYTES];
    int error = need(reader, content, (size_t)size + padding_of(size));
    if (error < 0)
        return error;
    size_t length = strnlen((char *)content, (size_t)size);
    if (length >= TAR_PATH_BYTES)
        return malformed(reader, "a name longer than a path can be");
    memcpy(out, content, length);
    out[length] = '\0';
    return 0;
}

static int take_records(struct tar_reader *reader, uint64_t size, uint8_t *buffer, size_t room, size_t *used) {
    if (size > room - *used)
        return malformed(reader, "too many pax records");
    int error = need(reader, buffer + *used, (size_t)size);
    if (error == 0)
        error = skip(reader, padding_of(size));
    if (error == 0 && tar_check_records(buffer + *used, (size_t)size) < 0)
        error = malformed(reader, "a malformed pax record");
    if (error == 0)
        *used += (size_t)size;
    return error;
}

/* ---- sparse files ---- */

/* What pax records say of a sparse file, in whichever of the three formats. */
struct sparse {
    bool told, leading_map, has_size, half; /* half: an offset whose length has not come yet */
    int64_t major, minor, size;
    const char *name;
};

static int add_region(struct tar_reader *reader, struct tar_entry *entry, int64_t offset, int64_t length) {
    if (entry->region_count == TAR_REGIONS)
        return malformed(reader, "too many regions of a sparse file");
    entry->regions[entry->region_count++] = (struct tar_region){(uint64_t)offset, (uint64_t)length};
    return 0;
}

/* One number of a map: offsets and lengths by turns. */
static int add_number(struct tar_reader *reader, struct tar_entry *entry, struct sparse *sparse, int64_t number) {
    if (number < 0)
        return malformed(reader, "a negative number in a sparse map");
    sparse->half = !sparse->half;
    if (sparse->half)
        return add_region(reader, entry, number, 0);
    entry->regions[entry->region_count - 1].length = (uint64_t)number;
    return 0;
}

static int add_list(struct tar_reader *reader, struct tar_entry *entry, struct sparse *sparse, const char *list) {
    int error = 0;
    while (*list != '\0' && error == 0) {
        char number[24];
        size_t digits = strcspn(list, ",");
        int64_t value;
        if (digits >= sizeof(number))
            return malformed(reader, "a sparse map");
        memcpy(number, list, digits);
        number[digits] = '\0';
        if (tar_record_number(number, &value) < 0)
            return malformed(reader, "a sparse map");
        error = add_number(reader, entry, sparse, value);
        list += digits + (list[digits] == ',');
    }
    return error;
}

static int sparse_record(struct tar_reader *reader, struct tar_entry *entry, struct sparse *sparse,
                         const struct tar_record *record) {
    const char *what = record->keyword + strlen("GNU.sparse.");
    int64_t number = 0;
    sparse->told = true;
    if (strcmp(what, "name") == 0) {
        sparse->name = record->value;
        return 0;
    }
    if (strcmp(what, "map") == 0)
        return add_list(reader, entry, sparse, record->value);
    if (tar_record_number(record->value, &number) < 0)
        return malformed(reader, "a number of a sparse file");
    if (strcmp(what, "offset") == 0 || strcmp(what, "numbytes") == 0) {
        if (sparse->half != (what[0] == 'n'))
            return malformed(reader, "a sparse map");
        return add_number(reader, entry, sparse, number);
    }
    if (strcmp(what, "major") == 0) {
        sparse->leading_map = true;
        sparse->major = number;
    } else if (strcmp(what, "minor") == 0) {
        sparse->minor = number;
    } else if (strcmp(what, "size") == 0 || strcmp(what, "realsize") == 0) {
        sparse->has_size = true;
        sparse->size = number;
    }
    return 0;
}

/* Format 1.0: lines of decimal numbers in front of the content, a count and then pairs, padded to a block. */
static int leading_map(struct tar_reader *reader, struct tar_entry *entry, struct sparse *sparse) {
    uint8_t block[TAR_BLOCK_BYTES];
    uint64_t numbers = 0, wanted = 1;
    char digits[24];
    size_t count = 0;
    int error = 0;
    for (size_t at = TAR_BLOCK_BYTES; numbers < wanted && error == 0; at++) {
        if (at == TAR_BLOCK_BYTES) {
            if (entry->held < TAR_BLOCK_BYTES)
                return malformed(reader, "a sparse map that does not end");
            error = need(reader, block, sizeof(block));
            entry->held -= TAR_BLOCK_BYTES;
            at = 0;
        }
        if (error == 0 && block[at] != '\n') {
            if (count == sizeof(digits) - 1)
                return malformed(reader, "a sparse map");
            digits[count++] = (char)block[at];
            continue;
        }
        int64_t value;
        digits[count] = '\0';
        count = 0;
        if (error == 0 && (tar_record_number(digits, &value) < 0 || value < 0))
            return malformed(reader, "a sparse map");
        if (error == 0 && numbers++ == 0) {
            if (value > TAR_REGIONS)
                return malformed(reader, "too many regions of a sparse file");
            wanted = 1 + 2 * (uint64_t)value;
        } else if (error == 0) {
            error = add_number(reader, entry, sparse, value);
        }
    }
    return error;
}

static int old_regions(struct tar_reader *reader, struct tar_entry *entry, const uint8_t *fields, int most) {
    int error = 0;
    for (int i = 0; i < most && fields[24 * i] != '\0' && error == 0; i++) {
        int64_t offset, length;
        if (tar_number(fields + 24 * i, 12, &offset) < 0 || tar_number(fields + 24 * i + 12, 12, &length) < 0 ||
            offset < 0 || length < 0)
            return malformed(reader, "a sparse map");
        error = add_region(reader, entry, offset, length);
    }
    return error;
}

/* GNU's old format: four regions in the header itself, more in blocks behind it. */
static int old_sparse(struct tar_reader *reader, struct tar_entry *entry, const uint8_t *header) {
    uint8_t block[TAR_BLOCK_BYTES];
    int64_t size;
    if (tar_number(header + 483, 12, &size) < 0 || size < 0)
        return malformed(reader, "the size of a sparse file");
    int error = old_regions(reader, entry, header + 386, 4);
    bool more = header[482] != 0;
    while (error == 0 && more) {
        error = need(reader, block, sizeof(block));
        if (error == 0)
            error = old_regions(reader, entry, block, 21);
        more = error == 0 && block[504] != 0;
    }
    entry->size = (uint64_t)size;
    entry->sparse = true;
    return error;
}

static int pax_sparse(struct tar_reader *reader, struct tar_entry *entry, struct sparse *sparse) {
    if (!sparse->has_size || sparse->size < 0)
        return malformed(reader, "a sparse file without a size");
    entry->size = (uint64_t)sparse->size;
    entry->sparse = true;
    if (sparse->name != NULL) {
        if (sparse->name[0] == '\0' || strlen(sparse->name) >= TAR_PATH_BYTES)
            return malformed(reader, "a name that no path can have");
        strcpy(entry->path, sparse->name);
    }
    if (!sparse->leading_map)
        return 0;
    if (sparse->major != 1 || sparse->minor != 0 || entry->region_count > 0)
        return malformed(reader, "a sparse file of an unknown format");
    return leading_map(reader, entry, sparse);
}

/* Regions ascend inside the file and are all of what the archive holds. */
static int check_regions(struct tar_reader *reader, const struct tar_entry *entry) {
    uint64_t end = 0, held = 0;
    for (uint32_t i = 0; i < entry->region_count; i++) {
        const struct tar_region *region = &entry->regions[i];
        if (region->offset < end || region->offset > entry->size ||
            region->length > entry->size - region->offset)
            return malformed(reader, "a sparse map whose regions overlap or leave the file");
        end = region->offset + region->length;
        held += region->length;
    }
    return held == entry->held ? 0 : malformed(reader, "a sparse map that does not fit its content");
}

/* ---- pax records ---- */

static void take_back(struct tar_entry *entry, const struct tar_entry *plain, const char *keyword) {
    if (strcmp(keyword, "path") == 0)
        strcpy(entry->path, plain->path);
    else if (strcmp(keyword, "linkpath") == 0)
        strcpy(entry->link, plain->link);
    else if (strcmp(keyword, "size") == 0)
        entry->held = plain->held;
    else if (strcmp(keyword, "uid") == 0)
        entry->uid = plain->uid;
    else if (strcmp(keyword, "gid") == 0)
        entry->gid = plain->gid;
    else if (strcmp(keyword, "mtime") == 0)
        entry->mtime = plain->mtime;
}

static int take_text(struct tar_reader *reader, const struct tar_record *record, char *out) {
    if (record->length >= TAR_PATH_BYTES || strlen(record->value) != record->length)
        return malformed(reader, "a name that no path can have");
    memcpy(out, record->value, record->length + 1);
    return 0;
}

static int take_small(struct tar_reader *reader, const struct tar_record *record, uint32_t *out) {
    int64_t value;
    if (tar_record_number(record->value, &value) < 0 || value < 0 || value > UINT32_MAX)
        return malformed(reader, record->keyword);
    *out = (uint32_t)value;
    return 0;
}

static int take_size(struct tar_reader *reader, const struct tar_record *record, struct tar_entry *entry) {
    int64_t value;
    if (tar_record_number(record->value, &value) < 0 || value < 0 || (uint64_t)value >= TAR_SIZE_LIMIT)
        return malformed(reader, "its size");
    entry->held = (uint64_t)value;
    return 0;
}

static int hex_digit(char digit) {
    return digit >= '0' && digit <= '9' ? digit - '0' : (digit | 32) >= 'a' && (digit | 32) <= 'f' ? (digit | 32) - 'a' + 10 : -1;
}

/* LIBARCHIVE.xattr names are as in an URL. */
static void decode_percent(char *text) {
    char *out = text;
    for (; *text != '\0'; text++) {
        if (text[0] == '%' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0) {
            *out++ = (char)(hex_digit(text[1]) << 4 | hex_digit(text[2]));
            text += 2;
        } else {
            *out++ = *text;
        }
    }
    *out = '\0';
}

static int take_xattr(struct tar_reader *reader, const struct tar_record *record, struct tar_entry *entry) {
    struct tar_xattr xattr = {strstr(record->keyword, "xattr.") + 6, record->value, record->length};
    if (record->keyword[0] == 'L') {
        decode_percent((char *)xattr.name);
        if (tar_decode_base64((uint8_t *)xattr.value, &xattr.length) < 0)
            return malformed(reader, "an extended attribute that is not base64");
    }
    if (xattr.name[0] == '\0')
        return malformed(reader, "an extended attribute without a name");
    /* bsdtar says each one twice, in both ways. */
    for (uint32_t i = 0; i < entry->xattr_count; i++)
        if (strcmp(entry->xattrs[i].name, xattr.name) == 0) {
            entry->xattrs[i] = xattr;
            return 0;
        }
    if (entry->xattr_count == TAR_XATTRS)
        return malformed(reader, "too many extended attributes");
    entry->xattrs[entry->xattr_count++] = xattr;
    return 0;
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

static int apply_record(struct tar_reader *reader, const struct tar_record *record, const struct tar_entry *plain,
                        struct tar_entry *entry, struct sparse *sparse) {
    const char *keyword = record->keyword;
    if (begins(keyword, "SCHILY.xattr.") || begins(keyword, "LIBARCHIVE.xattr."))
        return take_xattr(reader, record, entry);
    if (record->length == 0) {
        take_back(entry, plain, keyword);
        return 0;
    }
    if (begins(keyword, "GNU.sparse."))
        return sparse_record(reader, entry, sparse, record);
    if (strcmp(keyword, "path") == 0)
        return take_text(reader, record, entry->path);
    if (strcmp(keyword, "linkpath") == 0)
        return take_text(reader, record, entry->link);
    if (strcmp(keyword, "size") == 0)
        return take_size(reader, record, entry);
    if (strcmp(keyword, "uid") == 0)
        return take_small(reader, record, &entry->uid);
    if (strcmp(keyword, "gid") == 0)
        return take_small(reader, record, &entry->gid);
    if (strcmp(keyword, "SCHILY.devmajor") == 0)
        return take_small(reader, record, &entry->major);
    if (strcmp(keyword, "SCHILY.devminor") == 0)
        return take_small(reader, record, &entry->minor);
    if (strcmp(keyword, "mtime") == 0 && tar_record_time(record->value, &entry->mtime) < 0)
        return malformed(reader, "its time");
    return 0;
}

static bool is_about_everything(const char *keyword) {
    return !begins(keyword, "SCHILY.xattr.") && !begins(keyword, "LIBARCHIVE.xattr.") &&
           !begins(keyword, "GNU.sparse.");
}

static int apply_records(struct tar_reader *reader, struct tar_entry *entry, struct sparse *sparse) {
    static struct tar_entry plain;
    struct tar_record record;
    int error = 0;
    /* All but the regions, which are large and which no header of this kind has yet. */
    strcpy(plain.path, entry->path);
    strcpy(plain.link, entry->link);
    plain.held = entry->held;
    plain.uid = entry->uid;
    plain.gid = entry->gid;
    plain.mtime = entry->mtime;
    for (size_t at = 0; error == 0 && tar_next_record(reader->globals, reader->globals_bytes, &at, &record);)
        if (is_about_everything(record.keyword))
            error = apply_record(reader, &record, &plain, entry, sparse);
    for (size_t at = 0; error == 0 && tar_next_record(reader->records, reader->records_bytes, &at, &record);)
        error = apply_record(reader, &record, &plain, entry, sparse);
    return error;
}

/* ---- entries ---- */

static bool is_known(enum tar_kind kind) {
    return kind == TAR_SPARSE_FILE || (kind >= TAR_FILE && kind <= TAR_FIFO);
}

static int finish_entry(struct tar_reader *reader, struct tar_entry *entry, const uint8_t *header) {
    struct sparse sparse = {0};
    int error = apply_records(reader, entry, &sparse);
    if (error < 0)
        return error;
    size_t length = strlen(entry->path);
    if (length == 0)
        return malformed(reader, "an entry without a name");
    if (entry->kind == TAR_FILE && entry->path[length - 1] == '/')
        entry->kind = TAR_DIRECTORY; /* how tar wrote directories before there was a type for them */
    bool old = entry->kind == TAR_SPARSE_FILE;
    if (old)
        entry->kind = TAR_FILE;
    if (entry->kind != TAR_FILE)
        entry->held = 0; /* links and devices have no content, whatever their size field says */
    entry->size = entry->held;
    reader->padding = padding_of(entry->held);
    if (old)
        error = old_sparse(reader, entry, header);
    else if (sparse.told && entry->kind == TAR_FILE)
        error = pax_sparse(reader, entry, &sparse);
    if (error == 0 && sparse.half)
        error = malformed(reader, "a sparse map of an odd length");
    if (error == 0 && entry->size >= TAR_SIZE_LIMIT)
        error = malformed(reader, "its size");
    if (error == 0 && entry->sparse)
        error = check_regions(reader, entry);
    if (!entry->sparse)
        entry->region_count = 0;
    reader->content_left = entry->held;
    return error;
}

static int extension(struct tar_reader *reader, struct tar_entry *entry, char *name, char *link) {
    switch (entry->kind) {
    case TAR_LONG_NAME:
        return take_long_name(reader, entry->held, name);
    case TAR_LONG_LINK:
        return take_long_name(reader, entry->held, link);
    case TAR_PAX:
    case TAR_PAX_OLD:
        return take_records(reader, entry->held, reader->records, TAR_RECORDS_BYTES, &reader->records_bytes);
    case TAR_PAX_GLOBAL:
        return take_records(reader, entry->held, reader->globals, TAR_GLOBALS_BYTES, &reader->globals_bytes);
    default:
        return skip(reader, entry->held + padding_of(entry->held));
    }
}

static bool is_extension(enum tar_kind kind) {
    return kind == TAR_LONG_NAME || kind == TAR_LONG_LINK || kind == TAR_PAX || kind == TAR_PAX_OLD ||
           kind == TAR_PAX_GLOBAL || kind == TAR_VOLUME;
}

static bool is_zero(const uint8_t *block) {
    return block[0] == 0 && memcmp(block, block + 1, TAR_BLOCK_BYTES - 1) == 0;
}

/* At a zero block: whether the archive ends here. Returns 0, or -errno. */
static int end_of_archive(struct tar_reader *reader, uint8_t *block) {
    int taken = take(reader, block, TAR_BLOCK_BYTES);
    if (taken == 1 && !is_zero(block))
        return malformed(reader, "a lone zero block between two entries");
    return taken < 0 ? taken : 0;
}

int tar_next(struct tar_reader *reader, struct tar_entry *entry) {
    uint8_t block[TAR_BLOCK_BYTES];
    char name[TAR_PATH_BYTES] = "", link[TAR_PATH_BYTES] = "";
    bool extended = false;
    if (reader->name == NULL)
        reader->name = "its first header";
    int error = skip(reader, reader->content_left + reader->padding);
    reader->content_left = reader->padding = 0;
    reader->records_bytes = 0;
    while (error == 0) {
        int taken = take(reader, block, sizeof(block));
        if (taken < 0)
            return taken;
        if (taken == 0 || is_zero(block)) {
            if (extended)
                return malformed(reader, "the archive ends before the entry that its last header is about");
            return taken == 0 ? 0 : end_of_archive(reader, block);
        }
        if (!tar_is_header(block))
            return malformed(reader, "a header with a wrong checksum follows; is this a tar archive?");
        error = tar_read_header(block, entry);
        reader->name = entry->path;
        if (error == 0 && !is_extension(entry->kind)) {
            if (!is_known(entry->kind))
                return malformed(reader, "an entry of an unknown type");
            if (name[0] != '\0')
                strcpy(entry->path, name);
            if (link[0] != '\0')
                strcpy(entry->link, link);
            error = finish_entry(reader, entry, block);
            return error < 0 ? error : 1;
        }
        extended |= entry->kind != TAR_PAX_GLOBAL && entry->kind != TAR_VOLUME;
        if (error == 0)
            error = extension(reader, entry, name, link);
    }
    return error;
}
