"""Private networks, as a user sees them: made by name, listed, told of, and removed when unused."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from firkin.container import private_network
from firkin.container.naming import new_id
from firkin.container.private_network import PrivateNetwork
from firkin.engine.timestamp import timestamp
from firkin.errors import FirkinError, NetworkNotFound, UsageError
from firkin.network.guest import LOOPBACK, SUBNET
from firkin.network.user import PREFIX6
from firkin.paths import Paths

Net = ipaddress.IPv4Network | ipaddress.IPv6Network
_POOL = ipaddress.ip_network("10.89.0.0/16")
_PREFIX = 24
_LARGEST, _SMALLEST = 8, 29
_LARGEST6, _SMALLEST6 = 48, 120
_ROUTES = "/proc/net/route"
_DRIVERS = ("", "switch", "bridge")


class NetworkSummary(msgspec.Struct, frozen=True):
    """A network, and the names of the containers that list it with their addresses."""

    record: PrivateNetwork
    containers: dict[str, str]

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def labels(self) -> dict[str, str]:
        return self.record.labels


def create(
    paths: Paths,
    name: str,
    *,
    subnets: Iterable[str] = (),
    gateway: str = "",
    ipv6: bool = False,
    internal: bool = False,
    driver: str = "",
    labels: Mapping[str, str] | None = None,
) -> PrivateNetwork:
    """A new network. Raises UsageError for what cannot be, NameInUse, StorageFull."""
    private_network.check_name(name)
    if driver not in _DRIVERS:
        raise UsageError(
            f"network: {driver!r} is not a driver", hint="there is switch, which bridge means, too"
        )
    four, six = _subnets(subnets, ipv6)
    with private_network.table(paths):
        chosen = four or _free_subnet(paths)
        return private_network.make(
            paths,
            PrivateNetwork(
                name=name,
                id=new_id(),
                created_ns=time.time_ns(),
                subnet=str(chosen),
                gateway=_gateway(gateway, chosen),
                subnet6=str(six) if six else "",
                internal=internal,
                labels=dict(labels or {}),
            ),
        )


def _subnets(said: Iterable[str], ipv6: bool) -> tuple[ipaddress.IPv4Network | None, Net | None]:
    four: ipaddress.IPv4Network | None = None
    six: Net | None = None
    for text in said:
        subnet = _subnet(text)
        if (four if subnet.version == 4 else six) is not None:
            raise UsageError(f"subnet: {text} is one more of its kind", hint="give one of IPv4, one of IPv6")
        if isinstance(subnet, ipaddress.IPv4Network):
            four = subnet
        else:
            six = subnet
    if six is not None and not ipv6:
        raise UsageError(f"subnet: {six} is IPv6's", hint="add --ipv6")
    return four, six or (_unique_local() if ipv6 else None)


def _subnet(text: str) -> Net:
    try:
        subnet = ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"subnet: {text!r} is none: {error}", hint="such as 10.90.0.0/24") from error
    largest, smallest = (_LARGEST, _SMALLEST) if subnet.version == 4 else (_LARGEST6, _SMALLEST6)
    if not largest <= subnet.prefixlen <= smallest:
        raise UsageError(
            f"subnet: {text} is not from /{largest} to /{smallest}", hint="such as 10.90.0.0/24, fd00:1::/64"
        )
    special = subnet.is_multicast or subnet.is_loopback or subnet.is_link_local or subnet.is_unspecified
    if special or (subnet.is_reserved and subnet.version == 4):
        raise UsageError(f"subnet: {text} is not for machines", hint="such as 10.90.0.0/24, fd00:1::/64")
    for own in map(ipaddress.ip_network, (SUBNET, LOOPBACK, PREFIX6)):
        if own.version == subnet.version and own.overlaps(subnet):
            raise UsageError(
                f"subnet: {text} overlaps {own}, which every machine has for itself", hint="choose another"
            )
    return subnet


def _gateway(said: str, subnet: ipaddress.IPv4Network) -> str:
    if not said:
        return str(subnet[1])
    try:
        gateway = ipaddress.ip_address(said)
    except ValueError as error:
        raise UsageError(f"gateway: {said!r} is not an address", hint=f"such as {subnet[1]}") from error
    if gateway not in subnet or gateway in (subnet[0], subnet[-1]):
        raise UsageError(
            f"gateway: {said} is not an address in {subnet}", hint="choose one inside, or leave it out"
        )
    return said


def _unique_local() -> Net:
    """A network that nobody else has, in all likelihood (RFC 4193, 3.2)."""
    return ipaddress.ip_network((b"\xfd" + os.urandom(5) + bytes(10), 64))


def _free_subnet(paths: Paths) -> ipaddress.IPv4Network:
    """One that neither another network nor the host has a way to."""
    taken = [*_routes()]
    for name in private_network.everyone(paths):
        taken.append(ipaddress.IPv4Network(private_network.find(paths, name).subnet))
    for subnet in _POOL.subnets(new_prefix=_PREFIX):
        if isinstance(subnet, ipaddress.IPv4Network) and not any(map(subnet.overlaps, taken)):
            return subnet
    raise UsageError(f"network: no /{_PREFIX} of {_POOL} is free", hint="choose one: --subnet")


def _routes() -> list[ipaddress.IPv4Network]:
    """Where the host has ways of its own to, but for the default one."""
    found = []
    with suppress(OSError), open(_ROUTES, encoding="ascii") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            address, mask = (socket.inet_ntoa(struct.pack("=I", int(fields[at], 16))) for at in (1, 7))
            subnet = ipaddress.IPv4Network((address, mask))
            if subnet.prefixlen >= _LARGEST:
                found.append(subnet)
    return found


def summaries(
    paths: Paths, unreadable: Callable[[FirkinError], object] | None = None
) -> list[NetworkSummary]:
    """All networks, by name. One that cannot be read raises Corrupt, or is told `unreadable`."""
    found = []
    for name in private_network.everyone(paths):
        try:
            found.append(summary(paths, name))
        except NetworkNotFound:
            continue  # removed since they were listed
        except FirkinError as error:
            if unreadable is None:
                raise
            unreadable(error)
    return found


def summary(paths: Paths, name: str) -> NetworkSummary:
    """The network of that name. Raises NetworkNotFound, Corrupt."""
    record = private_network.find(paths, name)
    listed = private_network.users(paths).get(name, [])
    return NetworkSummary(record, {spec.name: card.address for spec, card in listed})


def facts(paths: Paths, name: str) -> dict[str, Any]:
    """What `firkin network inspect` prints, with Docker's names. Raises NetworkNotFound, Corrupt."""
    record = private_network.find(paths, name)
    configs = [{"Subnet": record.subnet, "Gateway": record.gateway}]
    configs += [{"Subnet": record.subnet6}] if record.subnet6 else []
    return {
        "Name": record.name,
        "Id": record.id,
        "Created": timestamp(record.created_ns),
        "Scope": "local",
        "Driver": "switch",
        "EnableIPv6": bool(record.subnet6),
        "IPAM": {"Driver": "default", "Config": configs},
        "Internal": record.internal,
        "Labels": dict(record.labels),
        "Containers": {
            spec.id: {
                "Name": spec.name,
                "MacAddress": card.mac,
                "IPv4Address": card.address,
                "IPv6Address": card.address6,
            }
            for spec, card in private_network.users(paths).get(name, [])
        },
    }


def prune(paths: Paths, wanted: Callable[[NetworkSummary], bool] = lambda _: True) -> list[str]:
    """Remove the networks that no container lists; what went. Raises Corrupt."""
    gone = []
    for found in summaries(paths, unreadable=lambda _: None):
        if found.containers or not wanted(found):
            continue
        with suppress(FirkinError):  # somebody uses it since
            private_network.remove(paths, found.record.name)
            gone.append(found.record.name)
    return gone
