"""SharedSockets: what --socket and --publish-socket ask for, served by whoever owns the container.

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
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from firkin.container.shared_socket import SharedSocket
from firkin.container.spec import ContainerSpec
from firkin.engine.deadline import within
from firkin.engine.forward import Relays, to_container, to_host
from firkin.engine.host_socket import listening
from firkin.errors import FirkinError
from firkin.events import event
from firkin.wire.messages import Op
from firkin.wire.sockets import Place

if TYPE_CHECKING:
    from firkin.agent.client import AgentClient
    from firkin.agent.connection import Connection, Listener

DIAL_TIMEOUT_S = 10.0


class SharedSockets:
    """Those of the container of `spec`. Made by opened()."""

    def __init__(self, spec: ContainerSpec) -> None:
        self._spec = spec
        self._published: list[tuple[SharedSocket, socket.socket]] = []
        self._shared: list[tuple[SharedSocket, Listener]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._client: AgentClient | None = None
        self._relays: Relays = set()

    @classmethod
    @contextmanager
    def opened(cls, spec: ContainerSpec, *, running: bool = False) -> Iterator[SharedSockets]:
        """With the published ones listening on the host. Raises PortInUse, HostUnsupported.

        A container that is `running` already goes on without those that cannot be.
        """
        sockets = cls(spec)
        with ExitStack() as stack:
            for each in spec.sockets:
                if each.published:
                    try:
                        made = listening(Place(path=each.host), mode=each.mode, uid=each.uid, gid=each.gid)
                        sockets._published.append((each, stack.enter_context(made)))
                    except FirkinError as error:
                        if not running:
                            raise
                        sockets._refused(each, error)
            yield sockets

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
        self._tasks = [asyncio.create_task(self._publish(client, *each)) for each in self._published]
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

    async def _publish(self, client: AgentClient, shared: SharedSocket, sock: socket.socket) -> None:
        async def dial() -> Connection:
            async with within(DIAL_TIMEOUT_S, f"dialling {shared.guest} of container {self._spec.name!r}"):
                return await client.sockets.connect(self._spec.id, Place(path=shared.guest))

        await to_container(sock, dial, partial(self._refused, shared), self._relays)

    async def _share(self, shared: SharedSocket, listener: Listener) -> None:
        with suppress(FirkinError):  # the machine has ended
            await to_host(listener, Place(path=shared.host), partial(self._refused, shared), self._relays)

    def _refused(self, shared: SharedSocket, error: FirkinError) -> None:
        event("socket.refused", container=self._spec.id, socket=shared.called, error=error)
