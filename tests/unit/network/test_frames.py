"""Frames of a private network: nobody is anybody else."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.network.frames import (
    BROADCAST,
    Datagram,
    Lease,
    answer,
    arp,
    checksum,
    datagram,
    echo_reply,
    reset,
    why_not,
)


def lease(number: int, *, six: bool = True) -> Lease:
    address6 = ipaddress.ip_address(f"fd00::{number}").packed if six else b""
    return Lease(bytes((2, 0, 0, 0, 0, number)), bytes((10, 89, 0, number)), address6)


SWITCH, ONE, TWO = lease(1), lease(2), lease(3)


def ipv4(source: Lease, target: Lease, protocol: int, body: bytes) -> bytes:
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0)
    return target.mac + source.mac + b"\x08\x00" + header + source.address + target.address + body


def ipv6(source: Lease, target: bytes, kind: int, body: bytes, *, address: bytes = b"") -> bytes:
    header = struct.pack("!IHBB", 6 << 28, len(body), kind, 255)
    return TWO.mac + source.mac + b"\x86\xdd" + header + (address or source.address6) + target + body


def advertisement(target: bytes, mac: bytes) -> bytes:
    return struct.pack("!BBHI", 136, 0, 0, 0) + target + b"\x02\x01" + mac


@pytest.mark.parametrize(
    "frame",
    [
        ipv4(ONE, TWO, 17, b"hello"),
        arp(1, ONE, BROADCAST, TWO.address),
        arp(2, ONE, TWO.mac, TWO.address),
        arp(1, Lease(ONE.mac, bytes(4)), BROADCAST, ONE.address),  # is anybody there?
        ipv6(ONE, TWO.address6, 6, bytes(20)),
        ipv6(ONE, TWO.address6, 58, struct.pack("!BBH", 128, 0, 0)),
        ipv6(ONE, TWO.address6, 58, advertisement(ONE.address6, ONE.mac)),
        ipv6(ONE, TWO.link_local, 58, advertisement(ONE.link_local, ONE.mac), address=ONE.link_local),
        ipv6(ONE, TWO.address6, 58, struct.pack("!BBHI", 135, 0, 0, 0) + TWO.address6 + b"\1\1" + ONE.mac),
        ipv6(ONE, TWO.address6, 44, struct.pack("!BBHI", 17, 0, 0, 1) + bytes(16)),
    ],
)
def test_who_says_who_it_is_may_send(frame: bytes) -> None:
    assert why_not(frame, ONE) == ""


@pytest.mark.parametrize(
    "frame",
    [
        ipv4(TWO, SWITCH, 17, b"hello"),
        ipv4(Lease(ONE.mac, TWO.address), SWITCH, 17, b"hello"),
        ipv4(Lease(TWO.mac, ONE.address), SWITCH, 17, b"hello"),
        arp(2, TWO, BROADCAST, ONE.address),
        arp(2, Lease(ONE.mac, TWO.address), BROADCAST, ONE.address),
        TWO.mac + ONE.mac + arp(2, TWO, TWO.mac, TWO.address)[12:],
        ipv6(ONE, TWO.address6, 17, b"hello", address=TWO.address6),
        ipv6(ONE, TWO.address6, 58, advertisement(TWO.address6, ONE.mac)),
        ipv6(ONE, TWO.address6, 58, advertisement(ONE.address6, TWO.mac)),
        ipv6(ONE, TWO.address6, 58, struct.pack("!BBHI", 134, 0, 0, 0) + bytes(24)),  # a router's
        ipv6(ONE, TWO.address6, 58, struct.pack("!BBHI", 137, 0, 0, 0) + bytes(32)),  # a redirect
        ipv6(ONE, TWO.address6, 0, b"\x3a\x00" + bytes(6) + advertisement(TWO.address6, ONE.mac)),
        ipv6(ONE, TWO.address6, 44, struct.pack("!BBHI", 58, 0, 0, 1) + bytes(24)),
        ipv6(ONE, TWO.address6, 43, b"\x11\x02" + bytes(22)),
        BROADCAST + ONE.mac + b"\x81\x00" + bytes(50),  # of a VLAN
        BROADCAST + ONE.mac + b"\x80\x35" + bytes(50),
        BROADCAST + ONE.mac + b"\x08\x00" + bytes(10),
        ONE.mac,
        b"",
        TWO.mac + ONE.mac + b"\x08\x00\x45" + bytes(11) + ONE.address + bytes(70000),
    ],
)
def test_who_claims_to_be_another_or_what_cannot_be_looked_through_is_dropped(frame: bytes) -> None:
    assert why_not(frame, ONE)


def test_a_network_without_ipv6_carries_none() -> None:
    assert why_not(ipv6(ONE, TWO.address6, 17, b"hello"), lease(2, six=False))


@given(st.binary(max_size=120), st.sampled_from([b"\x08\x00", b"\x08\x06", b"\x86\xdd"]))
def test_whatever_comes_is_judged_and_never_passes_as_anothers(rest: bytes, kind: bytes) -> None:
    frame = TWO.mac + ONE.mac + kind + rest
    if why_not(frame, ONE) == "" and kind == b"\x08\x00":
        assert frame[26:30] == ONE.address
    assert why_not(frame, TWO)
    for own in (SWITCH, TWO):
        assert datagram(frame, own, 53) is None or frame[30:34] == own.address
        assert isinstance(echo_reply(frame, own) + reset(frame, own), bytes)


def test_a_question_by_datagram_is_answered_with_frames_that_the_asker_may_get() -> None:
    body = struct.pack("!HHHH", 4000, 53, 8 + 5, 0) + b"hello"
    asked = datagram(ipv4(ONE, SWITCH, 17, body), SWITCH, 53)
    assert asked == Datagram(ONE.mac, ONE.address, 4000, b"hello")
    frame = answer(asked, SWITCH, 53, b"world")
    assert why_not(frame, SWITCH) == ""
    assert checksum(frame[14:34]) == 0
    assert datagram(frame, ONE, 4000) == Datagram(SWITCH.mac, SWITCH.address, 53, b"world")


def test_a_ping_of_the_switch_is_answered_and_a_connection_to_it_refused() -> None:
    ping = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"payload"
    pong = echo_reply(ipv4(ONE, SWITCH, 1, ping), SWITCH)
    assert (pong[34], pong[42:]) == (0, b"payload")
    assert checksum(pong[34:]) == 0
    syn = struct.pack("!HHIIBBHHH", 4000, 53, 7, 0, 0x50, 2, 1000, 0, 0)
    refusal = reset(ipv4(ONE, SWITCH, 6, syn), SWITCH)
    assert struct.unpack_from("!HHIIBB", refusal, 34) == (53, 4000, 0, 8, 0x50, 0x14)
    assert checksum(SWITCH.address + ONE.address + struct.pack("!HH", 6, 20) + refusal[34:]) == 0
    assert reset(refusal, ONE) == b""  # an answer is no beginning
