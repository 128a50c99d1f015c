/* Entries to a pax stream on a descriptor. */
#pragma once

#include "tar.h"

struct tar_writer {
    int fd;
    size_t used; /* of what is gathered before it is written */
};

/* Writes the headers of `entry`; `held` bytes of content follow. Returns 0 or -errno with the failure recorded, as all
 * of these do. */
int tar_put_entry(struct tar_writer *writer, const struct tar_entry *entry);

int tar_put(struct tar_writer *writer, const void *bytes, size_t length);

/* Room for content that the caller fills himself, and says how much of it; at most `*room` bytes. */
uint8_t *tar_room(struct tar_writer *writer, size_t *room);
int tar_filled(struct tar_writer *writer, size_t length);

/* Writes what is gathered, so that the caller may write to the descriptor himself. */
int tar_flush(struct tar_writer *writer);

/* Zeros up to the next block behind `length` bytes of content. */
int tar_put_padding(struct tar_writer *writer, uint64_t length);

/* The end of the archive. */
int tar_put_end(struct tar_writer *writer);
