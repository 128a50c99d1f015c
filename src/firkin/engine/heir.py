"""Heir: what a container that starts from a snapshot is to be, and its record."""

from __future__ import annotations

import time

import msgspec

from firkin.container import names
from firkin.container.disk import DiskRecord
from firkin.container.leases import leased
from firkin.container.locks import Lock
from firkin.container.naming import new_id
from firkin.container.record import Record, create
from firkin.container.restart import RestartPolicy
from firkin.container.shared_socket import SharedSocket
from firkin.container.spec import ContainerSpec
from firkin.engine import storage
from firkin.errors import NameInUse
from firkin.machine.spec import PublishedPort
from firkin.network import mac
from firkin.network.spec import USER, Interface, NetworkSpec
from firkin.paths import Paths
from firkin.snapshot.record import Snapshot


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What a container that starts from a snapshot has of its own. What is not said is as it was kept."""

    name: str = ""
    """"": one that is made up."""
    hostname: str = ""
    """"": the beginning of its id, where that is what was kept."""
    ports: tuple[PublishedPort, ...] | None = None
    published_sockets: tuple[SharedSocket, ...] | None = None
    auto_remove: bool = False
    detached: bool = True
    cold: bool = False
    """It begins anew on the disk, whatever there is of memory."""


def own_ports(ports: tuple[PublishedPort, ...]) -> tuple[PublishedPort, ...]:
    """`ports` for one more container: the same of the guest; those of the host are yet to be chosen."""
    return tuple(msgspec.structs.replace(port, host_port=0) for port in ports)


def own_cards(network: NetworkSpec, container_id: str) -> NetworkSpec:
    """`network` for one more container: with cards that nobody else has, on private ones to be leased."""
    cards = tuple(
        msgspec.structs.replace(card, mac=mac.of_container(container_id, index))
        if card.network == USER
        else Interface(network=card.network, aliases=card.aliases, place=card.place)
        for index, card in enumerate(network.interfaces)
    )
    return msgspec.structs.replace(network, interfaces=cards)


def own_sockets(sockets: tuple[SharedSocket, ...], wishes: Wishes) -> tuple[SharedSocket, ...]:
    """`sockets` for one more container: those of the host are shared, paths of the host's are its own."""
    if wishes.published_sockets is None:
        return sockets
    return (*(each for each in sockets if not each.published), *wishes.published_sockets)


def heir(snapshot: Snapshot, wishes: Wishes, *, name: str, container_id: str) -> ContainerSpec:
    """The spec of a container of its own that starts from `snapshot`. Its environment has its host name."""
    parent = snapshot.spec
    kept = container_id[:12] if parent.hostname == parent.id[:12] else parent.hostname
    hostname = wishes.hostname or kept
    was, now = f"HOSTNAME={parent.hostname}", f"HOSTNAME={hostname}"
    env = tuple(now if each == was else each for each in parent.process.env)
    return msgspec.structs.replace(
        parent,
        id=container_id,
        name=name,
        created_ns=time.time_ns(),
        hostname=hostname,
        process=msgspec.structs.replace(parent.process, env=env),
        network=own_cards(parent.network, container_id),
        ports=parent.ports if wishes.ports is None else wishes.ports,
        sockets=own_sockets(parent.sockets, wishes),
        auto_remove=wishes.auto_remove,
        detached=wishes.detached,
        restart=parent.restart if wishes.detached and not wishes.auto_remove else RestartPolicy(),
        snapshot=snapshot.id,
        cold=wishes.cold,
    )


def record_heir(paths: Paths, snapshot: Snapshot, wishes: Wishes) -> tuple[Record, Lock]:
    """Put a container that starts from `snapshot` on record; it is the caller's until the Lock is closed.

    The caller holds Store.adding() since it read the snapshot. Raises NameInUse, StorageFull.
    """
    disk = DiskRecord(layers=snapshot.layers, parent=snapshot.id)
    container_id = new_id()
    wished = storage.inherited(snapshot.spec.storage)
    made_with = storage.made(
        paths, wished, container_id, size_bytes=snapshot.spec.disk_bytes, ends_with=wishes.auto_remove
    )
    wanted = own_cards(snapshot.spec.network, container_id)
    with leased(paths, wanted, container_id) as network, made_with as made:
        while True:
            name = wishes.name or names.make_up(paths)
            spec = heir(snapshot, wishes, name=name, container_id=container_id)
            try:
                return create(paths, msgspec.structs.replace(spec, storage=made, network=network), disk)
            except NameInUse:
                if wishes.name:
                    raise  # a made-up name was just taken: make up another
