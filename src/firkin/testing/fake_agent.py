"""A guest agent that runs plain processes of this host: for tests of whatever talks to an agent.

It speaks the wire as the real one does, resynchronisation included, and passes the same checks
(testing.check_agent), but isolates nothing: containers are only names, users are not switched.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from firkin.agent.framing import FrameConnection
from firkin.testing.fake_process import FakeProcess, Refusal, start
from firkin.testing.fake_streams import Input, Output
from firkin.wire import messages as wire
from firkin.wire.frames import Break, Control, Credit, Data, Eof, Frame, Sync

_MACHINE_ID = re.compile("([0-9a-f]{32})?")
_OPS = {
    kind.op: kind
    for kind in (
        *(
            wire.Clock,
            wire.Entropy,
            wire.Load,
            wire.Guard,
            wire.Network,
            wire.Container,
            wire.Spawn,
            wire.Signal,
        ),
        *(wire.Resize, wire.Ps, wire.Forget, wire.Remove, wire.Sync, wire.Poweroff),
        *(wire.Identity, wire.Freeze, wire.Thaw),
    )
}


class FakeAgent:
    """One pretended machine. `heard` lists every op that it carried out, `frozen` the containers that are."""

    def __init__(self) -> None:
        self.heard: list[wire.Op] = []
        self.processes: dict[int, FakeProcess] = {}
        self.containers: list[str] = []
        self.frozen: set[str] = set()
        self.off = asyncio.Event()
        self._connection: FrameConnection | None = None
        self._synced = False
        self._inputs: dict[int, Input] = {}
        self._outputs: dict[int, Output] = {}
        self._boot = os.urandom(16)

    async def attach(self, sock: socket.socket) -> None:
        """Serve the client at the other end of `sock`, in place of any earlier one."""
        if self._connection is not None:
            self._connection.abort()
        self._synced = False
        self._connection = FrameConnection(self._on_frame, lambda _: None)
        await self._connection.take(sock)

    async def close(self) -> None:
        """The machine ends, and its processes with it."""
        self.off.set()
        self._unplug()
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            await process.reaped.wait()
        for feed in self._inputs.values():
            feed.close()
        for output in self._outputs.values():
            output.close()

    def _on_frame(self, frame: Frame) -> None:
        if not self._synced and not isinstance(frame, Sync):
            return
        match frame:
            case Sync():
                self._on_sync(frame)
            case Control(payload):
                self._on_request(wire.decode_control(payload))
            case Data(stream, offset, data):
                if stream in self._inputs:
                    self._inputs[stream].data(offset, data)
            case Eof(stream):
                if stream in self._inputs:
                    self._inputs[stream].eof()
            case Credit(stream, consumed):
                if stream in self._outputs:
                    self._outputs[stream].credit(consumed)
            case Break(stream):
                if stream in self._outputs:
                    self._outputs[stream].close()

    def _send(self, frame: Frame) -> None:
        if self._connection is not None:
            self._connection.send(frame)

    def _tell(self, message: dict[str, Any]) -> None:
        if self._synced:
            self._send(Control(wire.encode_control(message)))

    def _on_sync(self, frame: Sync) -> None:
        self.frozen.clear()
        self._send(frame)
        self._synced = True
        for output in self._outputs.values():
            output.hold()
        self._tell(
            {
                "ev": "hello",
                "v": wire.PROTOCOL_VERSION,
                "agent": "fake",
                "boot": self._boot,
                "kernel": os.uname().release,
                "procs": [self._state(process) for process in self.processes.values()],
                "containers": self.containers,
            }
        )
        for feed in self._inputs.values():
            feed.resume()

    def _state(self, process: FakeProcess) -> dict[str, Any]:
        op = process.op
        feed = self._inputs.get(op.stdin)
        return {
            "proc": op.proc,
            "container": process.container,
            "pid": process.pid,
            "stdin": op.stdin,
            "stdin_offset": feed.expected if feed else 0,
            "stdout": op.stdout,
            "stderr": 0 if op.stderr == op.stdout else op.stderr,
            "exit": process.exit,
        }

    def _on_request(self, message: dict[str, Any]) -> None:
        request = message.pop("id")
        try:
            if message.get("op") == "batch":
                ok = {"results": [self._in_batch(index, each) for index, each in enumerate(message["ops"])]}
            else:
                ok = self._carry_out(message)
        except Refusal as refusal:
            self._tell({"re": request, "err": msgspec.to_builtins(refusal.failure)})
        else:
            self._tell({"re": request, "ok": ok})

    def _in_batch(self, index: int, message: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._carry_out(message)
        except Refusal as refusal:
            raise Refusal(msgspec.structs.replace(refusal.failure, index=index)) from refusal

    def _carry_out(self, message: dict[str, Any]) -> dict[str, Any]:
        name = message.pop("op", None)
        kind = _OPS.get(name)
        if kind is None or set(message) - set(kind.__struct_fields__):
            raise Refusal(wire.Failure(errno=errno.EINVAL, step="request", object=str(name)))
        for words in ("args", "env"):
            if words in message:
                message[words] = [os.fsdecode(word) for word in message[words]]
        op: wire.Op = msgspec.convert(message, kind)
        self.heard.append(op)
        does: Callable[[Any], dict[str, Any] | None] | None = getattr(self, f"_{name}", None)
        return (does(op) if does else None) or {}

    def _entropy(self, _: wire.Entropy) -> dict[str, Any]:
        self._boot = os.urandom(16)
        return {"boot": self._boot}

    def _container(self, op: wire.Container) -> None:
        if op.container in self.containers:
            raise Refusal(wire.Failure(errno=errno.EEXIST, step="container", object=op.container))
        self.containers.append(op.container)

    def _known(self, step: str, container: str) -> None:
        if container not in self.containers:
            raise Refusal(wire.Failure(errno=errno.ENOENT, step=step, object=container))

    def _identity(self, op: wire.Identity) -> None:
        self._known("identity", op.container)
        wrong = 0
        if op.container in self.frozen:
            wrong = errno.EBUSY
        elif op.rename != op.container and op.rename in self.containers:
            wrong = errno.EEXIST
        elif not _MACHINE_ID.fullmatch(op.machine_id):
            wrong = errno.EINVAL
        if wrong:
            raise Refusal(wire.Failure(errno=wrong, step="identity", object=op.container))
        if op.rename:
            self.containers[self.containers.index(op.container)] = op.rename
            for process in self.processes.values():
                if process.container == op.container:
                    process.container = op.rename

    def _freeze(self, op: wire.Freeze) -> None:
        self._set_frozen(op, errno.EBUSY, wanted=True)

    def _thaw(self, op: wire.Thaw) -> None:
        self._set_frozen(op, errno.EINVAL, wanted=False)

    def _set_frozen(self, op: wire.Freeze | wire.Thaw, already: int, *, wanted: bool) -> None:
        self._known(op.op, op.container)
        if (op.container in self.frozen) == wanted:
            raise Refusal(wire.Failure(errno=already, step=op.op, object=op.container))
        self.frozen ^= {op.container}

    def _spawn(self, op: wire.Spawn) -> dict[str, Any]:
        if op.container:
            self._known("container", op.container)
        process = start(op, self._on_exit)
        self.processes[op.proc] = process
        if op.stdin:
            self._inputs[op.stdin] = Input(op.stdin, process.stdin_fd, self._send)
        for stream, fd in ((op.stdout, process.stdout_fd), (op.stderr, process.stderr_fd)):
            if stream and fd >= 0:
                self._outputs[stream] = Output(stream, fd, self._send)
        return {"pid": process.pid}

    def _on_exit(self, process: FakeProcess) -> None:
        self._tell({"ev": "exit", "proc": process.op.proc, **(process.exit or {})})

    def _process(self, proc: int) -> FakeProcess:
        if proc not in self.processes:
            raise Refusal(wire.Failure(errno=errno.ESRCH, step="process", object=str(proc)))
        return self.processes[proc]

    def _signal(self, op: wire.Signal) -> None:
        target = self._process(op.proc)
        if target.exit is not None:
            raise Refusal(wire.Failure(errno=errno.ESRCH, step="signal", object=str(op.proc)))
        for process in self.processes.values():
            if process is target or (op.all and process.container == target.container):
                process.send_signal(op.signal, group=op.group)

    def _resize(self, op: wire.Resize) -> None:
        self._process(op.proc).resize(op.rows, op.cols)

    def _ps(self, op: wire.Ps) -> dict[str, Any]:
        if op.container:
            self._known("ps", op.container)
        return {"processes": [p.row() for p in self.processes.values() if p.container == op.container]}

    def _forget(self, op: wire.Forget) -> None:
        process = self._process(op.proc)
        if process.exit is None:
            raise Refusal(wire.Failure(errno=errno.EBUSY, step="forget", object=str(op.proc)))
        if feed := self._inputs.pop(process.op.stdin, None):
            feed.close()
        for stream in (process.op.stdout, process.op.stderr):
            if output := self._outputs.pop(stream, None):
                output.close()
        del self.processes[op.proc]

    def _remove(self, op: wire.Remove) -> None:
        for process in self.processes.values():
            if process.container == op.container:
                process.send_signal(signal.SIGKILL)
        self.containers.remove(op.container)
        self.frozen.discard(op.container)

    def _poweroff(self, _: wire.Poweroff) -> None:
        self.off.set()
        asyncio.get_running_loop().call_soon(self._unplug)

    def _unplug(self) -> None:
        self._synced = False
        if self._connection is not None:
            self._connection.abort()


@asynccontextmanager
async def fake_machine() -> AsyncIterator[tuple[FakeAgent, socket.socket]]:
    """A fake agent, and the host's end of a socket to it, which is the caller's to close."""
    ours, theirs = socket.socketpair()
    agent = FakeAgent()
    await agent.attach(theirs)
    try:
        yield agent, ours
    finally:
        await agent.close()
