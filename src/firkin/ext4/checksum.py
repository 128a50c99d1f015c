"""The checksum of metadata_csum: CRC-32C without its final inversion, as the kernel's crc32c() has it.

google_crc32c inverts at the start and at the end of each call. A chain of its calls therefore is a chain of
the kernel's, inverted; so states are kept as the library gives them, and only what is stored is turned round.
"""

from __future__ import annotations

import struct

from google_crc32c import extend

__all__ = ["extend", "inode_state", "state_of", "stored"]


def state_of(content: bytes) -> int:
    """The state after `content`, from the usual start (~0 in the kernel's terms)."""
    return int(extend(0, content))


def stored(state: int) -> int:
    """What the kernel would store for `state`."""
    return state ^ 0xFFFFFFFF


def inode_state(seed: int, number: int) -> int:
    """The state that begins every checksum of an inode and of the blocks it owns; its generation is 0."""
    return int(extend(seed, struct.pack("<II", number, 0)))
