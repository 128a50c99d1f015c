"""SharedSockets: what --socket, --publish-socket and, on IPv6 addresses, --publish ask for, served by whoever
owns the container.

    open       the host's side of what is published, before there is a machine
    register   the guest's side of what is shared, in the batch that starts the container, before its process
    serving    relays both while the container runs

The rule: the host's sockets are opened here, by the paths that the user named; a guest reaches no other.
Whoever takes a container over opens them anew: what was being relayed is cut then, and what connects later is
relayed again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from firkin.container.shared_socket import SharedSocket
from firkin.container.spec import ContainerSpec
from firkin.engine.datagrams import relay_datagrams
from firkin.engine.deadline import within
from firkin.engine.forward import MAX_RELAYS, Relays, to_container, to_host
from firkin.engine.host_socket import listening
from firkin.errors import FirkinError
from firkin.events import event
from firkin.machine.spec import PublishedPort
from firkin.network import publish
from firkin.network.user import ADDRESS
from firkin.wire.messages import Op
from firkin.wire.sockets import Place

if TYPE_CHECKING:
    from firkin.agent.client import AgentClient
    from firkin.agent.connection import Connection, Listener

DIAL_TIMEOUT_S = 10.0
MOST_CALLERS = 128
"""Of one published port, at a time."""


class SharedSockets:
    """Those of the container of `spec`. Made by opened()."""

    def __init__(self, spec: ContainerSpec) -> None:
        self._spec = spec
        self._published: list[tuple[SharedSocket, socket.socket]] = []
        self._ports: list[tuple[PublishedPort, socket.socket]] = []
        self._shared: list[tuple[SharedSocket, Listener]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._client: AgentClient | None = None
        self._relays: Relays = set()

    @classmethod
    @contextmanager
    def opened(
        cls, spec: ContainerSpec, ports: Sequence[PublishedPort], *, running: bool = False
    ) -> Iterator[SharedSockets]:
        """With the published ones, and `ports`, listening on the host. Raises PortInUse, HostUnsupported.

        A container that is `running` already goes on without those that cannot be.
        """
        sockets = cls(spec)
        with ExitStack() as stack:
            published: list[SharedSocket | PublishedPort] = [each for each in spec.sockets if each.published]
            for each in (*published, *ports):
                try:
                    sockets._open(each, stack)
                except FirkinError as error:
                    if not running:
                        raise
                    sockets._refused(each, error)
            yield sockets

    def _open(self, each: SharedSocket | PublishedPort, stack: ExitStack) -> None:
        if isinstance(each, SharedSocket):
            made = listening(Place(path=each.host), mode=each.mode, uid=each.uid, gid=each.gid)
            self._published.append((each, stack.enter_context(made)))
        else:
            sock = stack.enter_context(publish.listening(each))
            chosen = msgspec.structs.replace(each, host_port=sock.getsockname()[1])
            self._ports.append((chosen, sock))

    @property
    def ports(self) -> tuple[PublishedPort, ...]:
        """Those that listen, with the host ports that were chosen."""
        return tuple(port for port, _ in self._ports)

    def register(self, client: AgentClient) -> tuple[Op, ...]:
        """The requests that let the shared ones listen in the guest."""
        ops: list[Op] = []
        for each in self._spec.sockets:
            if not each.published:
                listener, op = client.sockets.register(
                    self._spec.id,
                    Place(path=each.guest),
                    mode=each.mode,
                    uid=each.uid or 0,
                    gid=each.gid or 0,
                )
                self._shared.append((each, listener))
                ops.append(op)
        return tuple(ops)

    @asynccontextmanager
    async def serving(self, client: AgentClient) -> AsyncIterator[None]:
        """Relay while the block runs: the published ones, and the shared ones that are registered."""
        self._client = client
        relays = [self._relayed(client, each, Place(path=each.guest), sock) for each, sock in self._published]
        relays += [
            self._relayed(client, port, Place(address=ADDRESS, port=port.guest_port), sock)
            for port, sock in self._ports
        ]
        self._tasks = [asyncio.create_task(each) for each in relays]
        self._relay_shared()
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def appear(self, *, running: bool = False) -> None:
        """Let the shared ones listen in a container whose processes run, where they don't yet; see opened().

        Only while it serves. Raises AgentError, PortInUse.
        """
        if self._shared or self._client is None:
            return
        for op, (shared, _) in zip(self.register(self._client), tuple(self._shared), strict=True):
            try:
                await self._client.request(op)
            except FirkinError as error:
                if not running:
                    raise
                self._refused(shared, error)
        self._relay_shared()

    async def complete(self) -> None:
        """Wait until no relay runs: of a container that has ended, until all that it said was passed on."""
        while self._relays:
            await asyncio.wait(tuple(self._relays))

    def _relay_shared(self) -> None:
        self._tasks += [asyncio.create_task(self._share(*each)) for each in self._shared]

    async def _relayed(
        self, client: AgentClient, each: SharedSocket | PublishedPort, guest: Place, sock: socket.socket
    ) -> None:
        datagrams = isinstance(each, PublishedPort) and each.protocol == "udp"

        async def dial() -> Connection:
            async with within(DIAL_TIMEOUT_S, f"dialling {guest.called} of container {self._spec.name!r}"):
                return await client.sockets.connect(self._spec.id, guest, datagrams=datagrams)

        if datagrams:
            return await relay_datagrams(sock, dial, partial(self._refused, each), most=MOST_CALLERS)
        most = MAX_RELAYS if isinstance(each, SharedSocket) else MOST_CALLERS
        await to_container(sock, dial, partial(self._refused, each), self._relays, most=most)

    async def _share(self, shared: SharedSocket, listener: Listener) -> None:
        with suppress(FirkinError):  # the machine has ended
            await to_host(listener, Place(path=shared.host), partial(self._refused, shared), self._relays)

    def _refused(self, each: SharedSocket | PublishedPort, error: FirkinError) -> None:
        called = each.called if isinstance(each, SharedSocket) else str(each)
        event("socket.refused", container=self._spec.id, socket=called, error=error)
