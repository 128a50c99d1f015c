"""Ethernet addresses: six bytes, written `02:42:ac:11:00:02`."""

from __future__ import annotations

import re

_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
_MULTICAST, _LOCAL = 0x01, 0x02


def parse(text: str) -> str:
    """`text` as we write it. Raises ValueError, which says the rule, where no card may have it."""
    if not _MAC.fullmatch(text):
        raise ValueError("it is not six bytes such as 02:42:ac:11:00:02")
    mac = text.lower().replace("-", ":")
    if int(mac[:2], 16) & _MULTICAST:
        raise ValueError("it is a group's address: its first byte is odd")
    if not any(packed(mac)):
        raise ValueError("it is no card's address")
    return mac


def packed(mac: str) -> bytes:
    """The six bytes of an address as parse() writes it."""
    return bytes.fromhex(mac.replace(":", ""))


def of_container(container_id: str, index: int) -> str:
    """The address of card `index` of a container: its own, locally administered, of one card."""
    first = (index << 4 | _LOCAL) & 0xFF
    return ":".join(f"{byte:02x}" for byte in (first, *bytes.fromhex(container_id[:10])))
