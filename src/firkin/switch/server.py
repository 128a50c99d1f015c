"""Server: what the owners of machines ask of a network's switch, and how long that lives.

    owner ── plug {container, vmm, socket, mac, ...} ──► switch ── connects ──► the card's socket of the VMM
          ── unplug {...} ──► switch ── closes ──► that connection

The rule: a port lives as long as its VMM holds the other end, whoever dies meanwhile. An owner keeps its
connection, by whose end it hears that it has to ask the next switch. The switch leaves when there is neither
a port nor an owner.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from firkin.agent.channel import Channel, Message
from firkin.container.private_network import PrivateNetwork
from firkin.errors import FirkinError, InUse, MachineDied, OutcomeUnknown, UsageError
from firkin.linux.unix_socket import connect, listen
from firkin.network import mac
from firkin.network.frames import Lease
from firkin.network.name_answers import Known
from firkin.network.plug import Plug
from firkin.switch.forwarding import Forwarding, Port
from firkin.switch.resolver import Resolver
from firkin.switch.wire import Wire

MOST_PORTS = 1024
FIRST_PATIENCE_S = 10.0
"""How long it waits for whoever started it."""


class _Asked(msgspec.Struct):
    """What an owner asks for."""

    op: Literal["plug", "unplug"]
    plug: Plug


class Plugged(msgspec.Struct):
    """A port, and whose it is."""

    plug: Plug
    port: Port
    wire: Wire


class Server:
    """The switch of `network`, whose owners come to the socket at `path`."""

    def __init__(self, network: PrivateNetwork, path: Path) -> None:
        own = Lease(mac.packed(network.mac), _packed(network.gateway))
        self._path = path
        self._network = network
        self._resolver = Resolver(own, self._table, internal=network.internal)
        self._forwarding = Forwarding(own, self._resolver.ask, time.monotonic)
        self._plugged: dict[bytes, Plugged] = {}
        self._owners: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve until nobody needs it. Raises OSError where it cannot listen."""
        with listen(self._path) as listener:
            listener.setblocking(False)
            ready()
            taking = asyncio.create_task(self._take(listener))
            try:
                await self._needed()
            finally:
                self._path.unlink(missing_ok=True)
                tasks = (taking, *self._owners)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self._resolver.close()

    async def _needed(self) -> None:
        """Wait while somebody needs it: whoever started it, to begin with."""
        try:
            async with asyncio.timeout(FIRST_PATIENCE_S):
                await self._changed.wait()
        except TimeoutError:
            return
        while self._owners or self._plugged:
            self._changed.clear()
            await self._changed.wait()

    async def _take(self, listener: socket.socket) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            owner = asyncio.create_task(self._attend(sock))
            self._owners.add(owner)
            owner.add_done_callback(self._left)
            self._changed.set()

    async def _attend(self, sock: socket.socket) -> None:
        async with await Channel.open(sock, "an owner", lost=_lost, serve=self._served) as channel:
            await channel.gone.wait()

    def _left(self, owner: asyncio.Task[None]) -> None:
        self._owners.discard(owner)
        self._changed.set()

    async def _served(self, message: Message) -> Message:
        try:
            asked = msgspec.convert(message, _Asked)
        except msgspec.ValidationError as error:
            raise UsageError(f"the switch was asked for what it does not know: {error}") from error
        if asked.op == "plug":
            await self.plug(asked.plug)
        else:
            self.unplug(asked.plug)
        return {}

    async def plug(self, plug: Plug) -> None:
        """Let the card of `plug` have a port; one that has it keeps it, with the names of now.

        Raises InUse, UsageError, MachineDied where the VMM is not there.
        """
        lease = _lease(plug)
        held = self._plugged.get(lease.mac)
        if held is not None and _same_card(held.plug, plug) and held.port.lease == lease:
            _describe(held.port, plug)
            held.plug = plug
            return
        self._check_free(plug, lease)
        if held is not None:
            held.wire.close()
            self._unplug(lease.mac, held.wire)
        await self._connect(plug, lease)

    def unplug(self, plug: Plug) -> None:
        """Let the card of `plug` have no port any more, if it has one; its VMM waits for the next switch."""
        address = _lease(plug).mac
        held = self._plugged.get(address)
        if held is not None and _same_card(held.plug, plug):
            held.wire.close()
            self._unplug(address, held.wire)

    def _check_free(self, plug: Plug, lease: Lease) -> None:
        """Raise InUse where another container's card is there with one of its addresses."""
        if len(self._plugged) >= MOST_PORTS:
            raise InUse(f"network {self._network.name!r} has {MOST_PORTS} cards", hint="stop some containers")
        for other in self._plugged.values():
            has = other.port.lease
            shared = has.mac == lease.mac or has.address == lease.address
            if other.plug.container != plug.container and shared:
                raise InUse(
                    f"network {self._network.name!r}: {plug.address} ({plug.mac}) is that of container "
                    f"{other.plug.container[:12]}",
                    hint="stop that one first",
                )

    async def _connect(self, plug: Plug, lease: Lease) -> None:
        try:
            sock = connect(Path(plug.socket))
        except OSError as error:
            raise MachineDied(
                f"network {self._network.name!r} cannot reach container {plug.container[:12]}: "
                f"{error.strerror}",
                hint="its machine is gone",
            ) from error
        wire = Wire(
            lambda head: self._forwarding.target(port, head),
            lambda frame: self._forwarding.receive(port, frame),
            lambda: self._unplug(lease.mac, wire),
        )
        port = Port(lease, wire.send, wire.forward)
        _describe(port, plug)
        self._plugged[lease.mac] = Plugged(plug, port, wire)
        self._forwarding.ports[lease.mac] = port
        await asyncio.get_running_loop().create_unix_connection(lambda: wire, sock=sock)

    def _unplug(self, address: bytes, wire: Wire) -> None:
        """`wire` is gone; another may have the port by now."""
        held = self._plugged.get(address)
        if held is not None and held.wire is wire:
            del self._plugged[address], self._forwarding.ports[address]
            self._changed.set()

    def _table(self) -> dict[str, Known]:
        """Whom the names stand for, in full and with the network's name behind."""
        found: dict[str, tuple[bytes, ...]] = {}
        for held in self._plugged.values():
            lease = held.port.lease
            addresses = (lease.address, *((lease.address6,) if lease.address6 else ()))
            for name in held.port.names:
                for each in (name.lower(), f"{name}.{self._network.name}".lower()):
                    found[each] = (*found.get(each, ()), *addresses)
        return {name: Known(addresses[:MOST_ADDRESSES]) for name, addresses in found.items()}


MOST_ADDRESSES = 16
"""Of one name, in one answer, which so fits into a datagram of 512 bytes whatever the kind."""


def _lease(plug: Plug) -> Lease:
    try:
        six = _packed(plug.address6) if plug.address6 else b""
        return Lease(mac.packed(mac.parse(plug.mac)), _packed(plug.address), six)
    except ValueError as error:
        raise UsageError(f"the switch was given a card that is none: {error}") from error


def _same_card(one: Plug, other: Plug) -> bool:
    return (one.container, one.vmm, one.socket) == (other.container, other.vmm, other.socket)


def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def _describe(port: Port, plug: Plug) -> None:
    port.names, port.servers, port.others = plug.names, plug.servers, plug.others


def _lost(reason: str) -> FirkinError:
    return OutcomeUnknown(f"the connection to an owner was lost: {reason}")
