/* libFuzzer's way in: any bytes as a tar archive, read as unpack.c reads it, and each entry written as pack.c does.
 * Run by tests/guest/test_c.py for a short while; for longer: see there for the command. */
#include <fcntl.h>
#include <string.h>

#include "../tar_read.h"
#include "../tar_write.h"

struct rest {
    const uint8_t *bytes;
    size_t length;
};

static ssize_t give(void *context, void *bytes, size_t length) {
    struct rest *rest = context;
    size_t part = MIN(length, rest->length);
    memcpy(bytes, rest->bytes, part);
    rest->bytes += part;
    rest->length -= part;
    return (ssize_t)part;
}

static void check(const struct tar_entry *entry) {
    uint64_t end = 0;
    if (strlen(entry->path) >= TAR_PATH_BYTES || strlen(entry->link) >= TAR_PATH_BYTES || entry->path[0] == '\0')
        __builtin_trap();
    for (uint32_t i = 0; i < entry->region_count; i++) {
        if (entry->regions[i].offset < end || entry->regions[i].offset + entry->regions[i].length > entry->size)
            __builtin_trap();
        end = entry->regions[i].offset + entry->regions[i].length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static uint8_t records[TAR_RECORDS_BYTES], globals[TAR_GLOBALS_BYTES];
    static struct tar_entry entry;
    static int nowhere = -1;
    if (nowhere < 0)
        nowhere = open("/dev/null", O_WRONLY);
    struct rest rest = {bytes, length};
    struct tar_reader reader = {.source = give, .context = &rest, .records = records, .globals = globals};
    struct tar_writer writer = {.fd = nowhere};
    while (tar_next(&reader, &entry) > 0) {
        uint8_t content[512];
        check(&entry);
        tar_put_entry(&writer, &entry);
        ssize_t got;
        while ((got = tar_content(&reader, content, sizeof(content))) > 0)
            tar_put(&writer, content, (size_t)got);
    }
    return 0;
}
