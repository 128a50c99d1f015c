/* A tar stream to entries and their content. It holds one entry and what is said about it, and nothing that grows
 * with the archive. Two zero blocks end one, and so does the end of the stream between two entries. */
#pragma once

#include "tar.h"

/* Where the bytes come from: puts at most `length` of them at `bytes`. Returns how many, 0 at the end, or -errno. */
typedef ssize_t tar_source(void *context, void *bytes, size_t length);

struct tar_reader {
    tar_source *source;
    void *context;
    uint64_t content_left; /* of the current entry */
    uint32_t padding;
    uint8_t *records, *globals; /* TAR_RECORDS_BYTES and TAR_GLOBALS_BYTES of the caller's memory */
    size_t records_bytes, globals_bytes;
    const char *name; /* of the entry that is read, for failures */
};

/* Reads the next entry; content of the last one that was not taken is skipped. Its attributes lie in the reader's
 * memory until then. Returns 1, 0 at the end of the archive, or -errno with the failure recorded. */
int tar_next(struct tar_reader *reader, struct tar_entry *entry);

/* Takes up to `length` bytes of the current entry's content: of a sparse file, its regions one after the other.
 * Returns how many, 0 at its end, or -errno with the failure recorded. */
ssize_t tar_content(struct tar_reader *reader, void *bytes, size_t length);

/* The caller has taken `length` bytes of it from where the bytes come from, by himself. */
void tar_took(struct tar_reader *reader, uint64_t length);

/* Reads the stream to its end: what follows an archive belongs to whoever padded it. Returns 0 or -errno. */
int tar_drain(struct tar_reader *reader);
