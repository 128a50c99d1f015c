"""A host for the agent that shares no code with firkin's: its own frames, its own session, blocking sockets.

The rule: it is written from docs/design/wire.md alone, so that it and firkin's client are two witnesses.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

PAD, SYNC, CONTROL, DATA, EOF, CREDIT, BREAK = range(7)
WINDOW = 262_144
END = 0xA5
AGENT = Path(__file__).parents[2] / "src" / "firkin" / "machine" / "data" / "agent"
ALL_CAPS = (1 << 41) - 1
DEFAULT_CAPS = 0xA80425FB
DEADLINE_S = 20


def frame(kind: int, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack("<BBHII", kind, 0, 0, stream, len(payload)) + payload + bytes([END])


class Refused(Exception):
    """The agent's `err`."""

    def __init__(self, why: dict[str, Any]) -> None:
        super().__init__(why)
        self.errno, self.step, self.object = why["errno"], why["step"], why["object"]
        self.index = why.get("index")


class Host:
    """One session. Everything that arrives is kept: `output` by stream, `exits` by proc."""

    def __init__(self, sock: socket.socket, *, acknowledge: bool = True) -> None:
        self.sock = sock
        self.acknowledge = acknowledge
        self.output: dict[int, bytearray] = defaultdict(bytearray)
        self.ends: dict[int, int] = {}
        self.credit: dict[int, int] = {}
        self.broken: set[int] = set()
        self.exits: dict[int, dict[str, Any]] = {}
        self.answers: dict[int, dict[str, Any]] = {}
        self.connected: dict[int, int] = {}
        self.incoming: set[int] = set()
        self.hello: dict[str, Any] = {}
        self.offsets: dict[int, int] = defaultdict(int)
        self._buffer = bytearray()
        self._unsent = bytearray()
        self._sending = False
        self._synced = False
        self._nonce = b""
        self._next_id = 1

    # -- session --

    def sync(self, *, resume: bool = False) -> dict[str, Any]:
        self._nonce = os.urandom(16)
        self.send((bytes((1 << 20) + 16) if resume else b"") + frame(SYNC, 0, self._nonce))
        self.until(lambda: self.hello, "hello")
        for proc in self.hello["procs"]:
            self.offsets[proc["stdin"]] = proc["stdin_offset"]
        return self.hello

    def send(self, raw: bytes) -> None:
        """Frames go whole: what is said while one is on its way, such as the credit for what came meanwhile,
        goes behind it.
        """
        self._unsent += raw
        if self._sending:
            return
        self._sending = True
        self.sock.setblocking(False)
        deadline = time.monotonic() + DEADLINE_S
        try:
            while self._unsent:
                try:
                    del self._unsent[: self.sock.send(self._unsent)]
                except (BlockingIOError, TimeoutError):
                    self.receive(0.01)
                assert time.monotonic() < deadline, "the agent takes no bytes"
        finally:
            self._sending = False

    def until(self, ready: Any, what: str, deadline_s: float = DEADLINE_S) -> None:
        deadline = time.monotonic() + deadline_s
        while not ready():
            assert time.monotonic() < deadline, f"no {what} within {deadline_s} s"
            self.receive(0.05)

    def receive(self, timeout_s: float) -> None:
        self.sock.settimeout(timeout_s)
        try:
            got = self.sock.recv(1 << 18)
        except (TimeoutError, BlockingIOError):
            return
        if not got:
            raise EOFError("the agent closed the stream")
        self._buffer += got
        self._take_frames()

    def _take_frames(self) -> None:
        if not self._synced:
            at = self._buffer.find(frame(SYNC, 0, self._nonce))
            if at < 0:
                return
            del self._buffer[: at + 29]
            self._synced = True
        while len(self._buffer) >= 12:
            kind, flags, reserved, stream, length = struct.unpack_from("<BBHII", self._buffer)
            assert (flags, reserved) == (0, 0)
            assert kind in range(1, 7)
            if len(self._buffer) < 13 + length:
                return
            assert self._buffer[12 + length] == END
            payload = bytes(self._buffer[12 : 12 + length])
            del self._buffer[: 13 + length]
            self._take(kind, stream, payload)

    def _take(self, kind: int, stream: int, payload: bytes) -> None:
        if kind == CONTROL:
            self._take_control(msgspec.msgpack.decode(payload))
        elif kind == DATA:
            (offset,) = struct.unpack_from("<Q", payload)
            assert offset == len(self.output[stream]), "an offset that was not expected"
            assert len(payload) <= 8 + 65536
            self.output[stream] += payload[8:]
            if self.acknowledge:
                self.take(stream)
        elif kind == EOF:
            self.ends[stream] = struct.unpack("<Q", payload)[0]
        elif kind == CREDIT:
            self.credit[stream] = struct.unpack("<Q", payload)[0]
        elif kind == BREAK:
            self.broken.add(stream)
        else:
            raise AssertionError(f"frame of type {kind}")

    def _take_control(self, message: dict[str, Any]) -> None:
        if "re" in message:
            self.answers[message["re"]] = message
        elif message["ev"] == "hello":
            self.hello = message
        elif message["ev"] == "connected":
            assert message["connection"] not in self.connected
            self.connected[message["connection"]] = message["errno"]
        elif message["ev"] == "incoming":
            assert message["listener"] not in self.incoming, "told twice"
            self.incoming.add(message["listener"])
        else:
            assert message["ev"] == "exit"
            self.exits[message["proc"]] = message

    # -- requests --

    def post(self, op: str, **fields: Any) -> int:
        self._next_id += 1
        self.send(frame(CONTROL, 0, msgspec.msgpack.encode({"id": self._next_id, "op": op, **fields})))
        return self._next_id

    def answer(self, request: int) -> Any:
        self.until(lambda: request in self.answers, "answer")
        answer = self.answers.pop(request)
        if "err" in answer:
            raise Refused(answer["err"])
        return answer["ok"]

    def ask(self, op: str, **fields: Any) -> Any:
        return self.answer(self.post(op, **fields))

    def spawn(self, proc: int, *args: str, container: str = "", **fields: Any) -> int:
        return self.ask("spawn", **spawn_fields(proc, *args, container=container, **fields))["pid"]

    def post_spawn(self, proc: int, *args: str, container: str = "", **fields: Any) -> int:
        return self.post("spawn", **spawn_fields(proc, *args, container=container, **fields))

    # -- sockets: connection n has the streams 10n+1 (to it) and 10n+2 (from it) --

    def connect(self, connection: int, container: str = "c1", **place: Any) -> int:
        """The errno of connecting, 0 where it is connected."""
        streams = {"input": connection * 10 + 1, "output": connection * 10 + 2}
        self.ask("connect", connection=connection, container=container, **streams, **place)
        self.until(lambda: connection in self.connected, "connected")
        return self.connected.pop(connection)

    def accept(self, listener: int, connection: int) -> bool:
        """Takes whoever waits; False where nobody does, and the listener is to be heard of again."""
        streams = {"input": connection * 10 + 1, "output": connection * 10 + 2}
        if not self.ask("accept", listener=listener, connection=connection, **streams)["accepted"]:
            self.incoming.discard(listener)
            return False
        return True

    # -- streams --

    def write(self, stream: int, data: bytes) -> None:
        """Sends all of `data` as the agent grants credit."""
        for at in range(0, len(data), 65536):
            piece = data[at : at + 65536]
            room = lambda piece=piece: (  # noqa: E731
                self.offsets[stream] + len(piece) <= self.credit.get(stream, 0) + WINDOW
                or stream in self.broken
            )
            self.until(room, "credit")
            if stream in self.broken:
                return
            self.send(frame(DATA, stream, struct.pack("<Q", self.offsets[stream]) + piece))
            self.offsets[stream] += len(piece)

    def end(self, stream: int) -> None:
        self.send(frame(EOF, stream, struct.pack("<Q", self.offsets[stream])))

    def take(self, stream: int) -> None:
        self.send(frame(CREDIT, stream, struct.pack("<Q", len(self.output[stream]))))

    def cut(self, stream: int) -> None:
        self.send(frame(BREAK, stream))

    def read_to_end(self, stream: int) -> bytes:
        self.until(lambda: stream in self.ends, f"end of stream {stream}")
        assert self.ends[stream] == len(self.output[stream])
        return bytes(self.output[stream])

    def wait(self, proc: int) -> int:
        """The exit status as a shell shows it."""
        self.until(lambda: proc in self.exits, f"exit of {proc}")
        ended = self.exits[proc]
        return ended["code"] if ended["code"] is not None else 128 + ended["signal"]

    def wait_hello(self, proc: int) -> int | None:
        """The same for a process that may have ended before this session: None while it runs by `hello`."""
        (record,) = (each for each in self.hello["procs"] if each["proc"] == proc)
        ended = record["exit"] or self.exits.get(proc)
        if ended is None:
            return None
        return int(ended["code"]) if ended["code"] is not None else 128 + int(ended["signal"])

    def run(self, proc: int, *args: str, **fields: Any) -> tuple[int, bytes, bytes]:
        """Runs to its end: status, standard output, standard error."""
        self.spawn(proc, *args, stdout=proc * 10 + 1, stderr=proc * 10 + 2, **fields)
        out, err = self.read_to_end(proc * 10 + 1), self.read_to_end(proc * 10 + 2)
        return self.wait(proc), out, err


def spawn_fields(
    proc: int, *args: str, container: str = "", caps: int | dict[str, int] = DEFAULT_CAPS, **fields: Any
) -> dict[str, Any]:
    """A spawn request; `caps` is one mask for what root needs, or all five."""
    if isinstance(caps, int):
        caps = {"bounding": caps, "effective": caps, "permitted": caps, "inheritable": 0, "ambient": 0}
    asked = {"proc": proc, "container": container, "args": args, "cwd": "/", "caps": caps}
    return {**asked, "env": ["PATH=/usr/bin:/bin:/usr/sbin:/sbin"], **fields}


@contextmanager
def agent(sock: socket.socket, *, stage: str = "/mnt") -> Iterator[subprocess.Popen[bytes]]:
    """The agent as PID 1 of a pid namespace, serving `sock`; gone, with all its children, at the end."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net"]
    argv = [*unshare, str(AGENT), "--fd", str(sock.fileno()), "--stage", stage]
    child = subprocess.Popen(argv, pass_fds=[sock.fileno()], stderr=subprocess.PIPE)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stderr is not None
        child.stderr.close()
