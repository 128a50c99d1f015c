"""Frames of a private network: which of them a machine may send, and those that the switch sends itself.

The rule: who is who comes from the leases, never from a frame. A frame passes if everything in it that says
whose it is says that it is its sender's; what we cannot look through is dropped.
"""

from __future__ import annotations

import struct

import msgspec

HEADER_BYTES = 14
MAX_FRAME_BYTES = 65536 + HEADER_BYTES
IPV4, ARP, IPV6 = 0x0800, 0x0806, 0x86DD
BROADCAST = b"\xff" * 6
_NOBODY4, _NOBODY6 = bytes(4), bytes(16)
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_ETHERNET = (1, IPV4, 6, 4)
_ICMP, _TCP, _UDP, _ICMP6 = 1, 6, 17, 58
_HOP_BY_HOP, _FRAGMENT, _OPTIONS = 0, 44, 60
_MOST_HEADERS = 4
_SOLICITATION, _ADVERTISEMENT = 135, 136
_DISCOVERY = frozenset({133, 134, _SOLICITATION, _ADVERTISEMENT, 137})
"""ICMPv6's types that say who is who and who routes (RFC 4861); the first two and the last are routers'."""


class Lease(msgspec.Struct, frozen=True):
    """Who a card is on a private network, in the bytes of frames. `address6` may be b""."""

    mac: bytes
    address: bytes
    address6: bytes = b""

    @property
    def link_local(self) -> bytes:
        """The address that its kernel makes of its card's (RFC 4291, appendix A)."""
        mac = self.mac
        return b"\xfe\x80" + bytes(6) + bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]


def why_not(frame: bytes, lease: Lease) -> str:
    """Why the holder of `lease` may not send `frame`; "" where it may."""
    if not HEADER_BYTES <= len(frame) <= MAX_FRAME_BYTES:
        return "its length"
    if frame[6:12] != lease.mac:
        return "its sender's card"
    kind = int.from_bytes(frame[12:14], "big")
    if kind == IPV4:
        return _why_not4(frame, lease)
    if kind == ARP:
        return _why_not_arp(frame, lease)
    if kind == IPV6 and lease.address6:
        return _why_not6(frame, lease)
    return "its protocol"


def _why_not4(frame: bytes, lease: Lease) -> str:
    if len(frame) < HEADER_BYTES + 20 or frame[14] >> 4 != 4 or frame[14] & 15 < 5:
        return "its IPv4 header"
    return "" if frame[26:30] == lease.address else "its sender's address"


def _why_not_arp(frame: bytes, lease: Lease) -> str:
    if len(frame) < HEADER_BYTES + _ARP.size:
        return "its ARP"
    *kind, operation, mac, address, _, _ = _ARP.unpack_from(frame, HEADER_BYTES)
    if tuple(kind) != _ARP_ETHERNET or operation not in (1, 2):
        return "its ARP"
    if mac != lease.mac or address not in (lease.address, _NOBODY4):
        return "what its ARP claims"
    return ""


def _why_not6(frame: bytes, lease: Lease) -> str:
    if len(frame) < HEADER_BYTES + 40 or frame[14] >> 4 != 6:
        return "its IPv6 header"
    own = (lease.address6, lease.link_local)
    if frame[22:38] not in own:
        return "its sender's address"
    kind, at = frame[20], HEADER_BYTES + 40
    plain = True
    for _ in range(_MOST_HEADERS):
        if kind not in (_HOP_BY_HOP, _OPTIONS, _FRAGMENT):
            break
        if len(frame) < at + 8:
            return "its IPv6 header"
        length = 8 if kind == _FRAGMENT else 8 + 8 * frame[at + 1]
        kind, at, plain = frame[at], at + length, False
    if kind in (_TCP, _UDP):
        return ""
    if kind != _ICMP6 or len(frame) < at + 4:
        return "its IPv6 protocol"
    if not plain:  # in fragments, or behind options, who is who could be said unseen (RFC 6980, 7113)
        return "its ICMPv6"
    return _why_not_discovery(frame, at, lease, own) if frame[at] in _DISCOVERY else ""


def _why_not_discovery(frame: bytes, at: int, lease: Lease, own: tuple[bytes, ...]) -> str:
    """Neighbour discovery (RFC 4861): options at +24 name a card, an advertisement's target is its sender."""
    if frame[at] not in (_SOLICITATION, _ADVERTISEMENT) or len(frame) < at + 24:
        return "its ICMPv6"
    if frame[at] == _ADVERTISEMENT and frame[at + 8 : at + 24] not in own:
        return "what it advertises"
    options = frame[at + 24 :]
    if options and (len(options) != 8 or options[0] not in (1, 2) or options[1] != 1):
        return "its ICMPv6"
    return "" if options[2:] in (b"", lease.mac) else "what it advertises"


def arp(operation: int, source: Lease, mac: bytes, address: bytes) -> bytes:
    """A frame with `source`'s ARP for the card `mac` at `address`."""
    header = mac + source.mac + ARP.to_bytes(2, "big")
    return header + _ARP.pack(*_ARP_ETHERNET, operation, source.mac, source.address, mac, address)


def asked_for(frame: bytes) -> bytes:
    """The IPv4 address whose card a frame asks for, if it is ARP's question; else b""."""
    if frame[12:14] != ARP.to_bytes(2, "big") or frame[20:22] != b"\0\1":
        return b""
    return frame[38:42]


class Datagram(msgspec.Struct, frozen=True):
    """What of UDP in IPv4 the switch hears and says."""

    mac: bytes
    address: bytes
    port: int
    data: bytes


def echo_reply(frame: bytes, own: Lease) -> bytes:
    """The answer to a ping for `own` (RFC 792); b"" where `frame` is none."""
    at = _payload4(frame, own, _ICMP)
    if at == 0 or len(frame) < at + 8 or frame[at] != 8:
        return b""
    end = HEADER_BYTES + int.from_bytes(frame[16:18], "big")
    body = b"\0\0\0\0" + frame[at + 4 : end]
    body = b"\0\0" + checksum(body).to_bytes(2, "big") + body[4:]
    return _ipv4(own, frame[6:12], frame[26:30], _ICMP, body)


def datagram(frame: bytes, own: Lease, port: int) -> Datagram | None:
    """What `frame` brings to `port` of `own` by UDP; None where it is something else."""
    at = _payload4(frame, own, _UDP)
    if at == 0 or len(frame) < at + 8:
        return None
    source, target, length = struct.unpack_from("!HHH", frame, at)
    if target != port or not 8 <= length <= len(frame) - at:
        return None
    return Datagram(frame[6:12], frame[26:30], source, frame[at + 8 : at + length])


def answer(to: Datagram, own: Lease, port: int, data: bytes) -> bytes:
    """The frame with `data` from `port` of `own`, in answer to `to`. Without a checksum (RFC 768)."""
    body = struct.pack("!HHHH", port, to.port, 8 + len(data), 0) + data
    return _ipv4(own, to.mac, to.address, _UDP, body)


def reset(frame: bytes, own: Lease) -> bytes:
    """The refusal of a TCP connection to `own` (RFC 9293, 3.10.7.1); b"" where `frame` begins none."""
    at = _payload4(frame, own, _TCP)
    if at == 0 or len(frame) < at + 20 or frame[at + 13] & 0x16 != 0x02:
        return b""
    source, target, sequence = struct.unpack_from("!HHI", frame, at)
    said = (target, source, 0, (sequence + 1) & 0xFFFFFFFF, 0x50, 0x14, 0)
    body = struct.pack("!HHIIBBHHH", *said, 0, 0)
    pseudo = own.address + frame[26:30] + struct.pack("!HH", _TCP, len(body))
    body = body[:16] + checksum(pseudo + body).to_bytes(2, "big") + body[18:]
    return _ipv4(own, frame[6:12], frame[26:30], _TCP, body)


def _payload4(frame: bytes, own: Lease, protocol: int) -> int:
    """Where what IPv4 carries of `protocol` for `own` begins; 0 where it is another's, another, or in
    fragments.
    """
    if len(frame) < HEADER_BYTES + 20 or frame[12:14] != IPV4.to_bytes(2, "big"):
        return 0
    if frame[23] != protocol or frame[30:34] != own.address:
        return 0
    total = int.from_bytes(frame[16:18], "big")
    whole = int.from_bytes(frame[20:22], "big") & 0x3FFF == 0
    at = HEADER_BYTES + 4 * (frame[14] & 15)
    return at if whole and at <= HEADER_BYTES + total <= len(frame) else 0


def _ipv4(own: Lease, mac: bytes, address: bytes, protocol: int, body: bytes) -> bytes:
    fixed = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0)
    header = fixed + own.address + address
    header = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
    return mac + own.mac + IPV4.to_bytes(2, "big") + header + body


def checksum(data: bytes) -> int:
    """The internet's checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) & 1)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
