"""The control messages of docs/design/wire.md as values: what the host asks of the agent, and what it hears.

`encode` and `decode_reply` turn them into msgpack and back; frames around them are wire.frames' business.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

PROTOCOL_VERSION = 1
MAX_CONTROL_BYTES = 1 << 20


class Op(msgspec.Struct, frozen=True, kw_only=True):
    """One request to the agent, without its id. Subclasses name their `op`."""

    op: ClassVar[str]


class Clock(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "clock"
    sec: int
    nsec: int


class Entropy(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "entropy"
    seed: bytes


class Load(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "load"
    modules: tuple[str, ...]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    dst: str
    via: str = ""
    kind: str = "unicast"
    onlink: bool = False


class Network(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "network"
    interface: str
    mtu: int = 0
    hwaddr: bytes | None = None
    addresses: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()


class Root(msgspec.Struct, frozen=True, kw_only=True):
    device: str
    fstype: str = "ext4"
    readonly: bool = False
    grow: bool = False


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    source: str
    target: str
    options: tuple[str, ...] = ()


class File(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    mode: int
    data: bytes


class Container(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "container"
    container: str
    root: Root
    hostname: str
    mounts: tuple[Mount, ...] = ()
    files: tuple[File, ...] = ()
    masked: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    sysctls: dict[str, str] = {}
    shm_bytes: int = 64 << 20


class Terminal(msgspec.Struct, frozen=True, kw_only=True):
    rows: int
    cols: int


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    bounding: int
    effective: int
    inheritable: int
    permitted: int
    ambient: int


class Rlimit(msgspec.Struct, frozen=True, kw_only=True):
    type: int
    soft: int
    hard: int


class Spawn(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "spawn"
    proc: int
    container: str
    args: tuple[str | bytes, ...]
    env: tuple[str | bytes, ...]
    cwd: str
    caps: Capabilities
    user: str = ""
    groups: tuple[int, ...] = ()
    stdin: int = 0
    stdout: int = 0
    stderr: int = 0
    terminal: Terminal | None = None
    umask: int = 0o022
    no_new_privs: bool = False
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int = 0


class Signal(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "signal"
    proc: int
    signal: int
    all: bool = False


class Resize(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "resize"
    proc: int
    rows: int
    cols: int


class Ps(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "ps"
    container: str


class Forget(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "forget"
    proc: int


class Remove(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "remove"
    container: str


class Sync(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "sync"


class Poweroff(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "poweroff"
    sync: bool = True


class Batch(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "batch"
    ops: tuple[Op, ...]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why the agent refused: the errno, the step it was at, the object of that step, the index in a batch."""

    errno: int
    step: str
    object: str
    index: int = -1


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    re: int
    ok: dict[str, Any] | None = None
    err: Failure | None = None


def op_map(op: Op) -> dict[str, Any]:
    """`op` as the map that goes on the wire, without its id."""
    fields = {name: getattr(op, name) for name in op.__struct_fields__}
    if isinstance(op, Batch):
        fields["ops"] = [op_map(each) for each in op.ops]
    return {"op": op.op, **fields}


def encode_request(request_id: int, op: Op) -> bytes:
    """The CONTROL payload of one request."""
    return msgspec.msgpack.encode({"id": request_id, **op_map(op)})
