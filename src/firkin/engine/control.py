"""The control socket of a running container, served by whoever owns it.

    run/c/<id12>/control.sock     0600 in 0700; any number of clients, each with a connection for each purpose

A connection may join one process (attach or exec) and carries its streams; the other requests are answered as
they come. When a connection ends, its party has left: nothing happens to the container, an exec'd process
loses its reader as one whose pipe is closed. A party that reads slowly makes the process wait, as a terminal
does. Where a stream breaks, the client is told why (the event `broken`) before its connection ends.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from firkin.agent.channel import Channel, Message
from firkin.agent.streams import StreamSender
from firkin.engine import control_ops as ops
from firkin.engine.connected import Connected
from firkin.engine.container import Container
from firkin.engine.lending import Lending
from firkin.engine.relay import carry_in, carry_out
from firkin.engine.stillness import Stillness
from firkin.engine.trees import give_up
from firkin.errors import FirkinError, HostUnsupported, OutcomeUnknown, ProtocolError, WrongState
from firkin.linux.unix_socket import listen
from firkin.process.protocol import ByteReceiver, ByteSender, Process
from firkin.wire.refusals import refusal

MAX_CONNECTIONS = 256
_DRAIN_S = 5.0
"""How long the end of a container waits for clients to take the rest of its output."""


@asynccontextmanager
async def serve(container: Container, path: Path) -> AsyncIterator[None]:
    """Serve `container` on the socket at `path` while the block runs, then until its clients know the end.

    Enter it once the container runs, leave it once its end is on record; clients that do not take the rest of
    the output then are dropped after five seconds. Raises HostUnsupported where the socket cannot be made.
    """
    try:
        listener = listen(path)
    except OSError as error:
        raise HostUnsupported(
            f"cannot listen on {path}: {error.strerror}", hint="check the mode and owner of the directory"
        ) from error
    server = _Server(container)
    accepting = asyncio.create_task(server.accept(listener))
    try:
        yield
        await server.drain()
    finally:
        path.unlink(missing_ok=True)
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)
        listener.close()
        await server.close()


class _Server:
    def __init__(self, container: Container) -> None:
        self._container = container
        self._sessions: set[_Session] = set()

    async def accept(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(listener)
            if len(self._sessions) >= MAX_CONNECTIONS:
                client.close()
                continue
            session = _Session(self._container, self._sessions.discard)
            self._sessions.add(session)
            await session.channel.take(client)

    async def drain(self) -> None:
        if self._sessions:
            await asyncio.wait(
                [asyncio.create_task(session.settled()) for session in self._sessions], timeout=_DRAIN_S
            )

    async def close(self) -> None:
        for session in tuple(self._sessions):
            await session.channel.close()


class _Session:
    """One connection."""

    def __init__(self, container: Container, on_end: Callable[[_Session], None]) -> None:
        self._container = container
        self._on_end = on_end
        self._process: Process | None = None
        self._perishable: Process | None = None
        self._relays: set[asyncio.Task[None]] = set()
        self._stillness = Stillness(container)
        self._lending = Lending(container)
        self._connected = Connected(container)
        self._unsettled = 0
        self._changed = asyncio.Event()
        self.channel = Channel(
            "a client of the control socket", lost=OutcomeUnknown, serve=self._serve, on_lost=self._on_lost
        )

    async def settled(self) -> None:
        """Wait until no request is being answered and no output is on its way."""
        while self._unsettled:
            self._changed.clear()
            await self._changed.wait()

    @contextmanager
    def _work(self) -> Iterator[None]:
        self._unsettled += 1
        try:
            yield
        finally:
            self._unsettled -= 1
            self._changed.set()

    async def _serve(self, message: Message) -> Message:
        with self._work():
            return await self._answer(ops.from_message(message))

    async def _answer(self, op: ops.Op) -> Message:
        container = self._container
        match op:
            case ops.Attach():
                return self._join(await container.attach(stdin=bool(op.stdin), replay=op.replay), op)
            case ops.Exec():
                return self._join(await container.exec(op.options), op)
            case ops.Work():
                process = await container.work(op.task, op.member)
                self._perishable = process
                return self._join(process, op)
            case ops.Ended():
                return ops.to_message(ops.Status.of(await self._joined().wait()))
            case ops.Signal():
                await self._joined().signal(op.number)
            case ops.Resize():
                await self._joined().resize(op.rows, op.cols)
            case ops.Dial() | ops.Accept():
                await self._connected.begin(op, self._receive, self._carry)
            case ops.Listen():
                return await self._connected.listen(op)
            case ops.Unlisten():
                await self._connected.unlisten()
            case ops.Parted():
                self.channel.release(op.input, await self._connected.parted(op))
            case ops.Stop():
                await container.stop(op.timeout_s, again=op.again)
            case ops.Rename():
                await container.rename(op.name)
            case ops.Update():
                await container.update(op.options)
            case ops.Rewire():
                await container.rewire(op.change)
            case ops.Kill():
                await container.kill(op.signal)
            case ops.Pause():
                await container.pause()
            case ops.Unpause():
                await container.unpause()
            case ops.Wait():
                return ops.to_message(ops.Status.of(await container.wait()))
            case ops.Remove():
                await container.remove(force=op.force)
            case ops.Top():
                return {"processes": [ops.to_message(row) for row in await container.top()]}
            case ops.Stats():
                return ops.to_message(await container.stats())
            case ops.Check():
                return ops.to_message(await container.check_health())
            case ops.Snapshot():
                return {"snapshot": (await container.snapshot(op.name, disk_only=op.disk_only)).id}
            case ops.Suspend():
                await container.suspend()
            case ops.Lend():
                return {"snapshot": (await self._lending.begin()).id}
            case ops.Still():
                await self._stillness.begin()
            case ops.GoOn():
                await self._stillness.end()
        return {}

    def _join(self, process: Process, op: ops.Attach | ops.Exec | ops.Work) -> Message:
        if self._process is not None:
            raise ProtocolError("this connection has joined a process already")
        self._process = process
        self._carry(process.stdout, op.stdout)
        self._carry(process.stderr, op.stderr)
        stdin = process.stdin if op.stdin else None
        if stdin is not None:
            self._receive(op.stdin, stdin)
        return ops.to_message(ops.Joined(pid=process.pid, stdin=stdin is not None))

    def _receive(self, stream: int, stdin: ByteSender) -> asyncio.Task[None]:
        return self._start(carry_in(self.channel.receiver(stream), stdin))

    def _carry(self, source: ByteReceiver, stream: int) -> asyncio.Task[None] | None:
        if stream:
            return self._start(self._carried(source, self.channel.sender(stream)))
        source.close()
        return None

    async def _carried(self, source: ByteReceiver, sender: StreamSender) -> None:
        with self._work():
            try:
                await carry_out(source, sender)
            except FirkinError as error:  # must not look like an end
                self.channel.tell({"ev": "broken", "err": refusal(error)})
                self.channel.connection.finish()

    def _start(self, relay: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(relay)
        self._relays.add(task)
        task.add_done_callback(self._relays.discard)
        return task

    def _joined(self) -> Process:
        if self._process is None:
            raise WrongState("this connection has joined no process")
        return self._process

    def _on_lost(self, _: FirkinError) -> None:
        for task in self._relays:
            task.cancel()
        self._stillness.abandon()
        self._lending.abandon()
        self._connected.abandon()
        if self._perishable is not None:
            give_up(self._perishable)
        self._on_end(self)
