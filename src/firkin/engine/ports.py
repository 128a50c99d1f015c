"""Published port: the words of -p, `[IP:][HOST:]GUEST[/tcp|udp]` with ranges, as Docker reads them."""

from __future__ import annotations

import ipaddress
from typing import Literal

from firkin.errors import UsageError
from firkin.machine.spec import PublishedPort

MAX_PORTS = 256
_HINT = "write [IP:][HOST:]GUEST[/udp], such as 8080:80 or 127.0.0.1:8080:80"
_ANYWHERE = "0.0.0.0"


def parse_ports(word: str) -> tuple[PublishedPort, ...]:
    """The ports that one -p publishes; a host port left out is chosen at the start. Raises UsageError."""
    ports, _, protocol_name = word.partition("/")
    rest, _, guest = ports.rpartition(":")
    ip, _, host = rest.rpartition(":")
    protocol = _protocol(protocol_name, word)
    guests = _range(guest, word)
    hosts = _range(host, word) if host else [0] * len(guests)
    if len(hosts) != len(guests):
        raise UsageError(
            f"published port {word!r}: {len(hosts)} host ports for {len(guests)} guest ports",
            hint="write two ranges of one length",
        )
    host_ip = _address(ip, word) if ip else _ANYWHERE
    return tuple(
        PublishedPort(guest_port=guest_port, host_port=host_port, host_ip=host_ip, protocol=protocol)
        for guest_port, host_port in zip(guests, hosts, strict=True)
    )


def _protocol(name: str, word: str) -> Literal["tcp", "udp"]:
    if name in ("", "tcp"):
        return "tcp"
    if name == "udp":
        return "udp"
    raise UsageError(
        f"published port {word!r}: protocol {name!r} cannot be honoured", hint="write tcp or udp"
    )


def _range(text: str, word: str) -> list[int]:
    first, dash, last = text.partition("-")
    if not _is_number(first) or (dash and not _is_number(last)):
        raise UsageError(f"published port {word!r} cannot be read", hint=_HINT)
    low, high = int(first), int(last) if dash else int(first)
    if not 1 <= low <= high <= 65535:
        raise UsageError(f"published port {word!r}: {text!r} is not between 1 and 65535", hint=_HINT)
    if high - low >= MAX_PORTS:
        raise UsageError(f"published port {word!r}: more than {MAX_PORTS} ports", hint="publish fewer ports")
    return list(range(low, high + 1))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5


def _address(text: str, word: str) -> str:
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError as error:
        raise UsageError(f"published port {word!r}: {text!r} is not an IP address", hint=_HINT) from error
