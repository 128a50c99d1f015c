"""What is on disk for one private network.

    networks/<name>.json      PrivateNetwork
    networks/.lock            the table's flock: held by whoever makes or removes a network, and from the
                              choice of a container's addresses until it is on record

The rule: a record appears whole, by rename. Who has which address stands in the specs of the containers and
nowhere else. A network goes only while the table is held and no container lists it.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from firkin.container.journal import note_network
from firkin.container.record import records
from firkin.container.spec import ContainerSpec
from firkin.decoder import json_decoder
from firkin.errors import ContainerNotFound, Corrupt, InUse, NameInUse, NetworkNotFound, UsageError
from firkin.network.spec import USER, Interface
from firkin.paths import Paths
from firkin.store.files import disk_errors, replace_file
from firkin.store.lock import locked

MOST_NETWORKS = 256
_RESERVED = frozenset(
    {USER, "none", "host", "bridge", "default", "container", "ns", "private", "pasta", "slirp4netns"}
)
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,62}")
_MAX_FILE_BYTES = 1 << 20
_TABLE_DEADLINE_S = 30.0


class PrivateNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """A network of this user's machines among themselves."""

    name: str
    id: str
    """64 hex digits."""
    created_ns: int
    subnet: str
    gateway: str
    """The switch's own address, at which it answers for names. Nothing is routed there."""
    subnet6: str = ""
    internal: bool = False
    """Whether its machines have no way outside."""
    labels: dict[str, str] = {}

    @property
    def mac(self) -> str:
        """The switch's own card."""
        return "02:" + ":".join(self.id[at : at + 2] for at in range(0, 10, 2))

    @property
    def subnets(self) -> tuple[str, ...]:
        return (self.subnet, *((self.subnet6,) if self.subnet6 else ()))


def check_name(name: str) -> str:
    """`name`, if a network may have it. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a network's name",
            hint="use 2 to 63 letters, digits, _ . and -, beginning with a letter or digit",
        )
    if name in _RESERVED:
        raise UsageError(f"network: {name!r} is a word of its own", hint="choose another name")
    return name


@contextmanager
def table(paths: Paths) -> Iterator[None]:
    """Hold the table of networks in the block. Raises InUse where somebody holds it for too long."""
    with disk_errors(paths.networks_dir):
        paths.networks_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    what = "the table of networks is in use"
    with locked(paths.networks_dir / ".lock", shared=False, deadline_s=_TABLE_DEADLINE_S, what=what):
        yield


def find(paths: Paths, name: str) -> PrivateNetwork:
    """The network of that name. Raises NetworkNotFound, Corrupt."""
    path = paths.network_path(check_name(name))
    try:
        with open(path, "rb") as file:
            found: PrivateNetwork = json_decoder(PrivateNetwork).decode(file.read(_MAX_FILE_BYTES))
    except FileNotFoundError as error:
        raise NetworkNotFound(
            f"no such network: {name}", hint=f"`firkin network ls` lists them; firkin network create {name}"
        ) from error
    except (OSError, msgspec.DecodeError) as error:
        raise Corrupt(f"cannot read {path}: {error}", hint=f"`firkin network rm -f {name}`") from error
    if found.name != name:
        raise Corrupt(f"{path} is of {found.name!r}", hint=f"`firkin network rm -f {name}`")
    return found


def everyone(paths: Paths) -> list[str]:
    """The names of all networks, in order."""
    with suppress(FileNotFoundError):
        files = (os.path.splitext(each) for each in os.listdir(paths.networks_dir) if each[0] != ".")
        return sorted(name for name, kind in files if kind == ".json")
    return []


def make(paths: Paths, network: PrivateNetwork) -> PrivateNetwork:
    """Put a new network on record. The caller holds the table. Raises NameInUse, UsageError, StorageFull."""
    path = paths.network_path(check_name(network.name))
    if path.exists():
        raise NameInUse(
            f"there is a network {network.name!r}",
            hint=f"choose another name, or `firkin network rm {network.name}`",
        )
    known = everyone(paths)
    if len(known) >= MOST_NETWORKS:
        raise UsageError(f"network: there are {MOST_NETWORKS} already", hint="`firkin network prune`")
    for name in known:
        _check_apart(network, find(paths, name))
    replace_file(path, msgspec.json.encode(network))
    note_network(paths, "create", network.id, network.name)
    return network


def _check_apart(network: PrivateNetwork, other: PrivateNetwork) -> None:
    for subnet in network.subnets:
        for taken in other.subnets:
            one, two = ipaddress.ip_network(subnet), ipaddress.ip_network(taken)
            if one.version == two.version and one.overlaps(two):
                raise UsageError(
                    f"network: subnet {subnet} overlaps {taken} of network {other.name!r}",
                    hint="choose another, or leave out --subnet",
                )


def remove(paths: Paths, name: str, *, force: bool = False) -> None:
    """Remove the network of that name; with `force` also one that cannot be read.

    Raises NetworkNotFound, Corrupt, InUse, which names the containers that list it.
    """
    with table(paths):
        gone = None
        if not force or not paths.network_path(check_name(name)).exists():
            gone = find(paths, name)
        if listed := users(paths).get(name):
            names = ", ".join(sorted(spec.name for spec, _ in listed))
            raise InUse(f"network {name!r} is used by {names}", hint="remove them first: firkin rm")
        with disk_errors(paths.network_path(name)):
            paths.network_path(name).unlink()
    note_network(paths, "destroy", name if gone is None else gone.id, name)


def users(paths: Paths) -> dict[str, list[tuple[ContainerSpec, Interface]]]:
    """The containers that list each network, whether they run or not, with their cards on it.

    Raises Corrupt where one cannot be read: it might list any.
    """
    found: dict[str, list[tuple[ContainerSpec, Interface]]] = {}
    for record in records(paths):
        with suppress(ContainerNotFound):  # removed since they were listed
            spec = record.spec()
            for card in spec.network.interfaces:
                if card.network != USER:
                    found.setdefault(card.network, []).append((spec, card))
    return found
