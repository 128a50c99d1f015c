"""The control messages of docs/design/wire.md as values: what the host asks of the agent, and what it hears.

`encode_control` and `decode_control` turn them into msgpack and back; frames around them are wire.frames'
business. What comes from a peer goes through `convert`, so that nothing of a wrong type gets further.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec

from firkin import decoder
from firkin.errors import ProtocolError, UsageError
from firkin.wire.privileges import Capabilities as Capabilities
from firkin.wire.privileges import Filter as Filter
from firkin.wire.privileges import Rlimit as Rlimit

PROTOCOL_VERSION = 1
MAX_CONTROL_BYTES = 1 << 20
MAX_PROCESSES = 1024
MAX_CONTAINERS = 64


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
    card: int | msgspec.UnsetType = msgspec.UNSET
    """Which of the machine's cards it is, where that may be a spare one."""
    mtu: int = 0
    hwaddr: bytes | None = None
    addresses: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()


class Unplug(Op, frozen=True, kw_only=True):
    """A card of the machine goes out of use, and its interface with it, if there is one."""

    op: ClassVar[str] = "unplug"
    card: int


class Guard(Op, frozen=True, kw_only=True):
    """Programs may answer `address`, and not turn to it; datagrams go there from the ports `udp` only. Of the
    IPv6 network of `resolver6` they reach that alone, and it only by DNS.
    """

    op: ClassVar[str] = "guard"
    address: str
    udp: tuple[int, ...] = ()
    resolver6: str = ""


class Root(msgspec.Struct, frozen=True, kw_only=True):
    device: str
    fstype: str = "ext4"
    readonly: bool = False
    grow_bytes: int = 0
    upper: str | msgspec.UnsetType = msgspec.UNSET
    """The device that takes what is written, where `device` is only read."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A block device of the machine that a container has as such, at `path`."""

    path: str
    device: str
    readonly: bool = False
    mode: int = 0o660
    uid: int = 0
    gid: int = 0


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
    devices: tuple[Device, ...] | msgspec.UnsetType = msgspec.UNSET
    files: tuple[File, ...] = ()
    masked: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    sysctls: dict[str, str] = {}
    shm_bytes: int = 64 << 20
    pids: str = ""


class Terminal(msgspec.Struct, frozen=True, kw_only=True):
    rows: int
    cols: int


class Scheduler(msgspec.Struct, frozen=True, kw_only=True):
    """As sched_setattr(2) takes it."""

    policy: int
    priority: int = 0
    nice: int = 0
    flags: int = 0


class Spawn(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "spawn"
    proc: int
    container: str
    args: tuple[str, ...]
    """These and `env` may hold any bytes, as os.fsdecode gives them."""
    env: tuple[str, ...]
    cwd: str
    caps: Capabilities
    user: str = ""
    groups: tuple[str, ...] = ()
    stdin: int = 0
    stdout: int = 0
    stderr: int = 0
    terminal: Terminal | None = None
    umask: int = 0o022
    no_new_privs: bool = False
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int = 0
    scheduler: Scheduler | None = None
    io_priority: int = 0
    selinux: str = ""
    apparmor: str = ""
    filter: Filter | None = None
    init: bool = False


class Signal(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "signal"
    proc: int
    signal: int
    all: bool = False
    group: bool = False


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


class Identity(Op, frozen=True, kw_only=True):
    """A container of a forked machine becomes one of its own. What is "" or empty stays as it is."""

    op: ClassVar[str] = "identity"
    container: str
    rename: str = ""
    hostname: str = ""
    machine_id: str = ""
    files: tuple[File, ...] = ()


class Files(Op, frozen=True, kw_only=True):
    """Other contents for files that the agent made for a container."""

    op: ClassVar[str] = "files"
    container: str
    files: tuple[File, ...]


class Freeze(Op, frozen=True, kw_only=True):
    """Nothing is written to the container's root until `Thaw`, or until the agent loses this host."""

    op: ClassVar[str] = "freeze"
    container: str


class Thaw(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "thaw"
    container: str


class Hold(Op, frozen=True, kw_only=True):
    """No program of a container runs until `Release`, nor in what starts from a machine saved meanwhile."""

    op: ClassVar[str] = "hold"


class Release(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "release"


class MountShared(Op, frozen=True, kw_only=True):
    """What several containers of a machine share, below /pod; `type` is ext4, tmpfs, virtiofs, overlay or
    directory.
    """

    op: ClassVar[str] = "mount"
    type: str
    target: str
    source: str = ""
    options: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    upper: str = ""
    work: str = ""
    mode: int = 0o755


class Unmount(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "unmount"
    target: str


class Sweep(Op, frozen=True, kw_only=True):
    """Remove all that lies in the directory `target` but what `keep` names."""

    op: ClassVar[str] = "sweep"
    target: str
    keep: tuple[str, ...]


class Sync(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "sync"


class Poweroff(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "poweroff"
    sync: bool = True


class Batch(Op, frozen=True, kw_only=True):
    op: ClassVar[str] = "batch"
    ops: tuple[Op, ...]


U32 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Word = Annotated[str, msgspec.Meta(max_length=4096)]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why the agent refused: the errno, the step it was at, the object of that step, the index in a batch."""

    errno: int
    step: Word
    object: Word
    index: int = -1


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """The event that a process was reaped: by `code` or by `signal`, at `time_ns` of CLOCK_REALTIME.

    `oom`: it failed after the guest's kernel had killed for want of memory in its time.
    """

    code: Annotated[int, msgspec.Meta(ge=0, le=255)] | None
    signal: Annotated[int, msgspec.Meta(ge=1, le=64)] | None
    core: bool
    time_ns: int
    oom: bool = False
    proc: U32 = 0


class ProcState(msgspec.Struct, frozen=True, kw_only=True):
    """A process that the agent knows, as its hello lists it."""

    proc: U32
    container: Word
    pid: int
    stdin: U32
    stdin_offset: Offset
    stdout: U32
    stderr: U32
    exit: Exit | None


SessionKey = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
"""Random bytes that tell one agent from any other, a fork of it included."""


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Its first event after SYNC. `began_ns` and `ready_ns` are of its CLOCK_BOOTTIME (0: not told)."""

    v: int
    began_ns: Offset = 0
    ready_ns: Offset = 0
    agent: Word
    boot: SessionKey
    kernel: Word
    procs: Annotated[tuple[ProcState, ...], msgspec.Meta(max_length=MAX_PROCESSES)] = ()
    containers: Annotated[tuple[Word, ...], msgspec.Meta(max_length=MAX_CONTAINERS)] = ()


class Reseeded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to Entropy."""

    boot: SessionKey


class ProcessRow(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a container, as `ps` tells it. Ticks are of USER_HZ = 100."""

    pid: int
    ppid: int
    uid: int
    gid: int
    state: Word
    utime_ticks: int
    stime_ticks: int
    start_ticks: int
    """Since the guest's boot."""
    age_ticks: int
    rss_bytes: int
    vsz_bytes: int
    comm: str
    tty: Word
    args: tuple[str, ...]


def op_map(op: Op) -> dict[str, Any]:
    """`op` as the map that goes on the wire, without its id. What is UNSET costs no bytes."""
    fields = {
        name: value for name in op.__struct_fields__ if (value := getattr(op, name)) is not msgspec.UNSET
    }
    if isinstance(op, Batch):
        fields["ops"] = [op_map(each) for each in op.ops]
    elif isinstance(op, Spawn):
        fields |= {"args": _bytes(op.args), "env": _bytes(op.env)}
    return {"op": op.op, **fields}


def _bytes(texts: tuple[str, ...]) -> list[str | bytes]:
    return [text if text.isascii() else os.fsencode(text) for text in texts]


def encode_control(message: dict[str, Any]) -> bytes:
    """The CONTROL payload of `message`. Raises UsageError where it has text that is none, or is too large."""
    try:
        payload = msgspec.msgpack.encode(message)
    except UnicodeEncodeError as error:
        raise UsageError("an argument, variable or path is not UTF-8", hint="give it as UTF-8") from error
    if len(payload) > MAX_CONTROL_BYTES:
        raise UsageError(
            f"a request of {len(payload)} bytes is larger than the {MAX_CONTROL_BYTES} that the wire allows",
            hint="pass less in arguments, environment and files",
        )
    return payload


def decode_control(payload: bytes) -> dict[str, Any]:
    """The map in a CONTROL payload. Raises ProtocolError where it is none."""
    try:
        return msgspec.msgpack.decode(payload, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ProtocolError(f"a control message cannot be read: {error}") from error


T = TypeVar("T")


def convert(message: object, kind: type[T]) -> T:
    """`message` as a `kind`. Raises ProtocolError where it does not fit."""
    try:
        found: T = decoder.convert(message, kind)
        return found
    except msgspec.ValidationError as error:
        raise ProtocolError(f"a message is not a {kind.__name__}: {error}") from error
