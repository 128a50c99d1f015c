/* The wire's numbers, as docs/design/wire.md has them. All integers on the wire are little-endian, as we are. */
#pragma once

#include <stdint.h>

#define WIRE_VERSION 1
#define AGENT_VERSION "0.1.0"

enum frame_type {
    FRAME_PAD = 0,
    FRAME_SYNC = 1,
    FRAME_CONTROL = 2,
    FRAME_DATA = 3,
    FRAME_EOF = 4,
    FRAME_CREDIT = 5,
    FRAME_BREAK = 6,
};

#define FRAME_HEADER_BYTES 12u
#define FRAME_OFFSET_BYTES 8u
#define FRAME_END_BYTES 1u
#define FRAME_END 0xA5u
#define FRAME_OVERHEAD_BYTES (FRAME_HEADER_BYTES + FRAME_END_BYTES)
#define NONCE_BYTES 16u
#define MAX_CONTROL_BYTES (1u << 20)
#define MAX_DATA_BYTES (1u << 16)
#define WINDOW_BYTES (1u << 18)
#define MSGPACK_DEPTH 8

#define MAX_PROCS 1024u
#define MAX_STREAMS 4096u
#define MAX_CONTAINERS 64u
#define MAX_CONNECTIONS 512u
#define MAX_LISTENERS 64u
#define CONTAINER_ID_BYTES 64u
