"""The client of one machine's guest agent: docs/design/wire.md from the host's side.

The guest is hostile: an event about a process that was not started here, a second hello, or anything else
that the wire does not allow ends the connection.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from firkin.agent.channel import Channel, Message
from firkin.agent.process import RemoteProcess
from firkin.agent.refusals import error_of
from firkin.agent.sockets import Sockets
from firkin.errors import AgentError, FirkinError, MachineDied, OutcomeUnknown, ProtocolError
from firkin.wire import trees
from firkin.wire.frames import NONCE_BYTES, RESYNC_PADDING, Sync, encode
from firkin.wire.messages import (
    PROTOCOL_VERSION,
    U32,
    Batch,
    Entropy,
    Exit,
    Forget,
    Hello,
    Op,
    Poweroff,
    ProcState,
    Reseeded,
    Spawn,
    convert,
    op_map,
)

_DISMISSAL_S = 0.02
"""How long, and how many, processes that have ended may stay with the agent, which has room for 1,024."""
_MOST_DISMISSED = 64


class AgentClient:
    """Speaks to the agent of `machine`. Make it with open(); nothing else before start().

    `processes` holds every process that was registered and not released, by its `proc`; `greeted_ns` is the
    time.monotonic_ns() of the agent's hello, 0 before. `session_key` tells this agent from every other, b""
    before hello; an Entropy changes it, which is what makes a fork an agent of its own. `sockets` are those
    of the containers.
    """

    def __init__(self, machine: str) -> None:
        self.machine = machine
        self.processes: dict[int, RemoteProcess] = {}
        self.greeted_ns = 0
        self.session_key = b""
        self._last_proc = 0
        self._dismissed: list[RemoteProcess] = []
        self._parting: FirkinError | None = None
        self._nonce = os.urandom(NONCE_BYTES)
        self._hello: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self._synced = False
        self.channel = Channel(
            f"the agent of machine {machine!r}",
            lost=self._died,
            failure=lambda err: error_of(err, machine),
            on_event=self._on_event,
            on_sync=self._on_sync,
            on_lost=self._on_lost,
        )
        self.sockets = Sockets(self.channel)

    @classmethod
    async def open(cls, sock: socket.socket, machine: str) -> AgentClient:
        """A client over `sock`, a connected stream socket that it now owns."""
        client = cls(machine)
        client.channel.connection.expect_sync(client._nonce)  # an earlier client's bytes may come at once
        await client.channel.take(sock)
        return client

    async def __aenter__(self) -> AgentClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection. Processes go on, and keep their output until somebody resumes."""
        await self.channel.close()

    async def start(self, ops: Sequence[Op] = (), *, resume: bool = False, whole: bool = False) -> Hello:
        """Synchronise, and run `ops` as one batch sent right behind: one round trip.

        With `resume` the stream may hold the rest of a dead client's frame, and each process that the agent
        knows appears in `processes`, waiting for its resume(). `whole` says that it holds no such rest, since
        the machine was saved in that client's quiet(); that is a megabyte less to send. Raises what batch()
        raises, MachineDied where the agent never answers, AgentError where it speaks another version.
        Deadlines are the caller's.
        """
        self.channel.connection.send_bytes(
            (RESYNC_PADDING if resume and not whole else b"") + encode(Sync(self._nonce))
        )
        results = self._post_batch(ops) if ops else None
        hello = await self._hello
        if hello.v != PROTOCOL_VERSION:
            raise AgentError(
                f"machine {self.machine!r} speaks version {hello.v} of the wire, not {PROTOCOL_VERSION}",
                hint="remove the container and run it anew",
            )
        if results is not None:
            await self._finish_batch(ops, results)
        return hello

    async def request(self, op: Op) -> Message:
        """The agent's answer to `op`.

        Raises CommandNotFound, CommandNotExecutable, UsageError (no such user), AgentError (any other
        refusal), OutcomeUnknown (the connection was lost before the answer), MachineDied (it was lost
        before the request).
        """
        answer = await self.channel.post(op_map(op))
        self._note(op, answer)
        return answer

    def part(self, error: FirkinError) -> None:
        """The machine is about to end for a reason: from here on `error` is what a lost connection means."""
        self._parting = error

    def post(self, op: Op) -> None:
        """Send `op`, whatever its answer will be."""
        self.channel.post(op_map(op))

    async def batch(self, ops: Sequence[Op]) -> list[Message]:
        """The answers to `ops`, run in order up to the first refusal, which is raised as of request().

        Processes of a refused batch stay registered, since those before the refusal do run.
        """
        return await self._finish_batch(ops, self._post_batch(ops))

    @asynccontextmanager
    async def quiet(self, ops: Sequence[Op] = (), after: Sequence[Op] = ()) -> AsyncIterator[None]:
        """Run `ops` as a batch, whose answer the block waits for, and send nothing more before it ends.

        So the agent has taken every frame whole, and a machine that is saved in the block can be resumed
        with start(whole=True). What others send meanwhile waits for the end: output goes on only for as much
        as a window holds, and a request that is awaited in the block is never answered. At the end, whatever
        happened, `after` is sent first, as a batch that nobody waits for. Raises as batch().
        """
        answer = self._post_batch(ops)
        self.channel.connection.hold()
        if after:
            self._post_batch(after)  # the first that is sent at the end
        try:
            await self._finish_batch(ops, answer)
            yield
        finally:
            self.channel.connection.let_go()

    def register(
        self,
        spawn: Spawn,
        *,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        merged: bool = False,
    ) -> RemoteProcess:
        """Give `spawn` its proc and stream ids. The result's `op` is what to send, alone or in a batch.

        What is not connected is /dev/null. With a terminal, or `merged`, there is no separate stderr: all
        that is written comes by stdout, in the order of writing.
        """
        self._last_proc += 1
        if spawn.terminal is not None:  # it has both directions, whether or not somebody types
            stdin, stderr, merged = True, False, False
        apart = stderr and not merged
        ids = [self.channel.new_stream() if wanted else 0 for wanted in (stdin, stdout, apart)]
        error = ids[1] if merged else ids[2]
        op = msgspec.structs.replace(spawn, proc=self._last_proc, stdin=ids[0], stdout=ids[1], stderr=error)
        process = RemoteProcess(
            self,
            op.proc,
            stdin=self.channel.sender(op.stdin) if op.stdin else None,
            stdout=self.channel.receiver(op.stdout),
            stderr=self.channel.receiver(ids[2]),
            op=op,
            container=op.container,
        )
        self.processes[op.proc] = process
        if self.channel.error is not None:
            process.lose(self.channel.error)
        return process

    async def spawn(self, spawn: Spawn, **connected: bool) -> RemoteProcess:
        """Start a process; `connected` as of register(). Raises as request() does."""
        process = self.register(spawn, **connected)
        assert process.op is not None
        try:
            await self.request(process.op)
        except FirkinError:
            self.release(process)
            raise
        return process

    async def work(self, task: trees.Task, container: str) -> RemoteProcess:
        """Let the agent pack, unpack or stat files of a container, as a process of its own.

        Its standard input or output is the archive, its standard error the result: see wire.trees. Raises as
        request() does.
        """
        self._last_proc += 1
        proc, stream, result = self._last_proc, self.channel.new_stream(), self.channel.new_stream()
        packs = isinstance(task, trees.Pack)
        process = RemoteProcess(
            self,
            proc,
            stdin=self.channel.sender(stream) if isinstance(task, trees.Unpack) else None,
            stdout=self.channel.receiver(stream if packs else 0),
            stderr=self.channel.receiver(result),
            container=container,
        )
        self.processes[proc] = process
        wanted = trees.message(task, proc=proc, container=container, stream=stream, result=result)
        try:
            await self.channel.post(wanted)
        except FirkinError:
            self.release(process)
            raise
        return process

    async def poweroff(self, *, sync: bool = True) -> None:
        """Ask the machine to end, and wait until its agent is gone."""
        try:
            await self.request(Poweroff(sync=sync))
        except (OutcomeUnknown, MachineDied):
            pass  # there is no answer: the end of the stream is one
        await self.channel.gone.wait()

    def release(self, process: RemoteProcess) -> None:
        """Drop `process` and its streams from the tables: the agent forgot it, or never started it."""
        self.processes.pop(process.proc, None)
        senders = [process.stdin.stream] if process.stdin else []
        self.channel.release(*senders, process.stdout.stream, process.stderr.stream)

    def dismiss(self, process: RemoteProcess) -> None:
        """Let the agent forget `process`, which has exited, soon, and without waiting for that.

        Those of a moment are told in one request: each interrupts the guest.
        """
        self._dismissed.append(process)
        if len(self._dismissed) == 1:
            asyncio.get_running_loop().call_later(_DISMISSAL_S, self._forget_dismissed)
        elif len(self._dismissed) == _MOST_DISMISSED:
            self._forget_dismissed()

    def _forget_dismissed(self) -> None:
        dismissed, self._dismissed = self._dismissed, []
        if dismissed:
            answer = self._post_batch([Forget(proc=process.proc) for process in dismissed])
            answer.add_done_callback(partial(self._release_all, dismissed))

    def _release_all(self, processes: list[RemoteProcess], _: object) -> None:
        for process in processes:
            self.release(process)

    def _post_batch(self, ops: Sequence[Op]) -> asyncio.Future[Message]:
        return self.channel.post(op_map(Batch(ops=tuple(ops))))

    async def _finish_batch(self, ops: Sequence[Op], answer: asyncio.Future[Message]) -> list[Message]:
        results = convert((await answer).get("results"), list[dict[str, Any]])
        if len(results) != len(ops):
            raise ProtocolError(f"{self.channel.peer} gave {len(results)} results for {len(ops)} requests")
        for op, result in zip(ops, results, strict=True):
            self._note(op, result)
        return results

    def _note(self, op: Op, result: Message) -> None:
        match op:
            case Spawn():
                self.processes[op.proc].pid = convert(result.get("pid"), U32)
            case Entropy():
                self.session_key = convert(result, Reseeded).boot

    def _on_sync(self, _: Sync) -> None:
        if self._synced:
            raise ProtocolError(f"{self.channel.peer} sent SYNC twice")
        self._synced = True

    def _on_event(self, message: Message) -> None:
        match message.pop("ev"):
            case "hello":
                self._on_hello(convert(message, Hello))
            case "exit":
                self._on_exit(convert(message, Exit))
            case other if not self.sockets.on_event(str(other), message):
                raise ProtocolError(f"{self.channel.peer} sent an unknown event {str(other)[:40]!r}")

    def _on_hello(self, hello: Hello) -> None:
        if self._hello.done() or not self._synced:
            raise ProtocolError(f"{self.channel.peer} sent hello out of turn")
        for state in hello.procs:
            self._take_over(state)
        self.greeted_ns = time.monotonic_ns()
        self.session_key = hello.boot
        self._hello.set_result(hello)

    def _take_over(self, state: ProcState) -> None:
        if state.proc in self.processes:
            raise ProtocolError(f"{self.channel.peer} lists process {state.proc} twice")
        self._last_proc = max(self._last_proc, state.proc)
        process = RemoteProcess(
            self,
            state.proc,
            stdin=self.channel.sender(state.stdin, offset=state.stdin_offset) if state.stdin else None,
            stdout=self.channel.receiver(state.stdout),
            stderr=self.channel.receiver(state.stderr),
            container=state.container,
            pid=state.pid,
        )
        self.processes[state.proc] = process
        if state.exit is not None:
            process.end(state.exit)

    def _on_exit(self, exit: Exit) -> None:
        process = self.processes.get(exit.proc)
        if process is None or process.exit is not None:
            raise ProtocolError(f"{self.channel.peer} ended process {exit.proc}, which does not run")
        process.end(exit)

    def _died(self, reason: str) -> FirkinError:
        return self._parting or MachineDied(f"the connection to machine {self.machine!r} was lost: {reason}")

    def _on_lost(self, error: FirkinError) -> None:
        for process in self.processes.values():
            if process.exit is None:
                process.lose(error)
        self.sockets.lose(error)
        if not self._hello.done():
            self._hello.set_exception(error)
            self._hello.exception()
