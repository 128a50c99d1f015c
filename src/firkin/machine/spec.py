"""What a machine is made of: frozen values, validated before anything starts. No QEMU words here."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal

import msgspec

from firkin.errors import UsageError
from firkin.machine.knobs import Knobs


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """A block device of the guest, /dev/vda, vdb, ... in declared order."""

    path: Path
    format: Literal["raw", "qcow2", "null"]
    """null: nothing, `size_bytes` long, for what is never read; `path` is not used."""
    layers: tuple[Path, ...] = ()
    """qcow2: those under it, the next one first, opened read-only; so is `backing`."""
    backing: Path | None = None
    """qcow2: the raw image under all of them."""
    readonly: bool = False
    size_bytes: int = 0
    held_as: str = ""
    """Whoever has it holds the flock of the file at `path`, and the error calls it so; "": no lock."""
    backing_held_as: str = ""
    """The same of `backing`, which any number may read and nobody may write to."""
    on_device: bool = False
    """Whether the raw file of it, `path` or `backing`, is a block device."""
    as_it_is: bool = False
    """Whether the guest is to see its size, and whether it can be written to. A fork sees what its template
    had."""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A host directory (or one file of it) that the guest mounts by `tag` through virtiofs."""

    tag: str
    source: Path
    readonly: bool = False


class PublishedPort(msgspec.Struct, frozen=True, kw_only=True):
    """`host_ip:host_port` on the host reaches `guest_port` in the machine. host_port 0 is chosen at start."""

    guest_port: int
    host_port: int
    host_ip: str = "0.0.0.0"
    protocol: Literal["tcp", "udp"] = "tcp"

    @classmethod
    def parse(cls, text: str) -> tuple[PublishedPort, ...]:
        """The ports that docker's `-p` syntax asks for: `[[ip:][host]:]guest[/tcp|/udp]`, ranges as `a-b`.

        `guest` alone and `ip::guest` leave the host's port to be chosen. Ranges on both sides are equally
        long. An IPv6 address stands in brackets. Raises UsageError.
        """
        body, slash, protocol = text.partition("/")
        if slash and protocol not in ("tcp", "udp"):
            raise _bad_port(text, f"{protocol!r} is neither tcp nor udp")
        ip, host, guest = _port_fields(text, body)
        guests = _port_range(text, guest)
        hosts = _port_range(text, host) if host else [0] * len(guests)
        if len(hosts) != len(guests):
            raise _bad_port(text, "the ranges are not equally long")
        chosen = protocol or "tcp"
        return tuple(
            cls(
                guest_port=inside, host_port=outside, host_ip=ip, protocol="udp" if chosen == "udp" else "tcp"
            )
            for inside, outside in zip(guests, hosts, strict=True)
        )

    @property
    def ipv6(self) -> bool:
        """Whether it is published on an address of IPv6, which a VMM's network cannot do."""
        return ":" in self.host_ip

    def __str__(self) -> str:
        """As `-p` takes it: `parse(str(port)) == (port,)`."""
        ip = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        return f"{ip}:{self.host_port or ''}:{self.guest_port}/{self.protocol}"


def _port_fields(text: str, body: str) -> tuple[str, str, str]:
    """The address (0.0.0.0 where none is given), the host's ports and the guest's, as written."""
    rest, _, guest = body.rpartition(":")
    ip, _, host = rest.rpartition(":")
    ip = ip.removeprefix("[").removesuffix("]") if ip.startswith("[") else ip
    try:
        return str(ipaddress.ip_address(ip)) if ip else "0.0.0.0", host, guest
    except ValueError:
        raise _bad_port(text, f"{ip!r} is not an IP address") from None


def _port_range(text: str, field: str) -> list[int]:
    first, dash, last = field.partition("-")
    numbers = (first, last) if dash else (first, first)
    if not all(number.isascii() and number.isdecimal() and 0 < int(number) < 65536 for number in numbers):
        raise _bad_port(text, f"{field!r} is not a port from 1 to 65535")
    begin, end = map(int, numbers)
    if end < begin:
        raise _bad_port(text, f"the range {field} runs backwards")
    return list(range(begin, end + 1))


def _bad_port(text: str, reason: str) -> UsageError:
    return UsageError(
        f"cannot publish {text!r}: {reason}", hint="write [ip:][host:]guest[/udp], such as 8080:80"
    )


NetworkMode = Literal["user", "none"]
PLACES = 24
"""How many virtio devices a machine has room for (QEMU's microvm), the agent's port among them."""
SPARE_CARDS = 2
"""Which a machine on any network has, so that it can come to more of them while it runs."""


class MachineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One machine. `name` appears in errors and in the process list."""

    name: str
    cpus: int = 1
    memory_bytes: int = 256 << 20
    disks: tuple[Disk, ...] = ()
    shares: tuple[Share, ...] = ()
    network: NetworkMode = "user"
    host_loopback: bool = False
    """Whether the guest may reach what listens on the host's loopback."""
    cards: int = 0
    """For private networks, spare ones among them: each a socket in its run directory (qemu.files)."""
    ready: int = 0
    """How many of these have their driver from the boot on, and an interface: the first ones."""
    ipv6: bool = False
    """Whether its network has IPv6, too."""
    ports: tuple[PublishedPort, ...] = ()
    knobs: Knobs = Knobs()
    boot_timeout_s: float = 60.0

    @property
    def used_cards(self) -> int:
        """How many cards its guest is to have from the boot on."""
        return self.ready + (1 if self.network == "user" else 0)

    @property
    def free_places(self) -> int:
        """How many more devices it has room for."""
        devices = 1 + len(self.disks) + len(self.shares) + self.cards + len(self.knobs.devices)
        return max(0, PLACES - devices - (1 if self.network == "user" else 0))
