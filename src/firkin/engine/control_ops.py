"""What can be asked on a container's control socket, as values. Streams are named by id, 0 is none."""

from __future__ import annotations

from typing import Any

import msgspec

from firkin import decoder
from firkin.engine.joining import Join, Leave
from firkin.engine.options import ExecOptions
from firkin.engine.update_words import UpdateOptions
from firkin.errors import ProtocolError
from firkin.process.spec import ExitStatus, Why
from firkin.wire.messages import U32, convert
from firkin.wire.sockets import Place
from firkin.wire.trees import Task


class _Op(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", tag=str.lower
):
    """One request. Its answer is empty unless said otherwise."""


class Attach(_Op, frozen=True, kw_only=True):
    """Join the main process. Answer: Joined."""

    replay: bool
    stdin: U32
    stdout: U32
    stderr: U32


class Exec(_Op, frozen=True, kw_only=True):
    """Start a process. Answer: Joined."""

    options: ExecOptions
    stdin: U32
    stdout: U32
    stderr: U32


class Work(_Op, frozen=True, kw_only=True):
    """Pack, unpack or stat files of the container; of a pod in the `member` of that id, which does not run.
    It ends with this connection. Answer: Joined.
    """

    task: Task
    member: str = ""
    stdin: U32
    stdout: U32
    stderr: U32


class Ended(_Op, frozen=True, kw_only=True):
    """Wait for the end of the process that this connection joined. Answer: Status."""


class Signal(_Op, frozen=True, kw_only=True):
    """Send it a signal."""

    number: int


class Resize(_Op, frozen=True, kw_only=True):
    """Change the size of its terminal."""

    rows: int
    cols: int


class Dial(_Op, frozen=True, kw_only=True):
    """Connect to a socket in the container. The streams are seen from there."""

    place: Place
    timeout_s: float | None
    input: U32
    output: U32


class Listen(_Op, frozen=True, kw_only=True):
    """Listen in the container until this connection ends; one listener for each. Answer: Listening."""

    place: Place
    mode: int
    uid: int
    gid: int


class Accept(_Op, frozen=True, kw_only=True):
    """Wait for the next connection of that listener, and join it to these streams."""

    input: U32
    output: U32


class Unlisten(_Op, frozen=True, kw_only=True):
    """Listen no more; connections go on."""


class Parted(_Op, frozen=True, kw_only=True):
    """Close a connection, named by its input, once both directions have ended, or `now`."""

    input: U32
    now: bool


class Stop(_Op, frozen=True, kw_only=True):
    """Stop the container; answered once it has ended."""

    timeout_s: float | None
    again: bool = False


class Rename(_Op, frozen=True, kw_only=True):
    """Give the container another name."""

    name: str


class Update(_Op, frozen=True, kw_only=True):
    """Change what the container may use."""

    options: UpdateOptions


class Rewire(_Op, frozen=True, kw_only=True):
    """Change which networks the container is on."""

    change: Join | Leave


class Kill(_Op, frozen=True, kw_only=True):
    """Send a signal to the main process."""

    signal: int


class Pause(_Op, frozen=True, kw_only=True):
    """Let the container stand still."""


class Unpause(_Op, frozen=True, kw_only=True):
    """Let it go on."""


class Wait(_Op, frozen=True, kw_only=True):
    """Wait for the end of the container. Answer: Status."""


class Remove(_Op, frozen=True, kw_only=True):
    """Remove the container; answered once it is gone."""

    force: bool


class Top(_Op, frozen=True, kw_only=True):
    """Answer: {"processes": [ProcessRow]}."""


class Stats(_Op, frozen=True, kw_only=True):
    """Answer: Usage."""


class Check(_Op, frozen=True, kw_only=True):
    """Find out now whether it is healthy. Answer: Probe."""


class Snapshot(_Op, frozen=True, kw_only=True):
    """Keep the container as it is now. Answer: {"snapshot": id}."""

    name: str
    disk_only: bool


class Suspend(_Op, frozen=True, kw_only=True):
    """Save its machine and end it; answered once it is gone."""


class Lend(_Op, frozen=True, kw_only=True):
    """Make a snapshot that goes when this connection ends. Answer: {"snapshot": id}."""


class Still(_Op, frozen=True, kw_only=True):
    """Let the container's disk stand still until GoOn, or until this connection ends."""


class GoOn(_Op, frozen=True, kw_only=True):
    """The disk was read. Refused where it did not stand still for so long."""


Op = (
    Attach
    | Exec
    | Work
    | Ended
    | Signal
    | Resize
    | Dial
    | Listen
    | Accept
    | Unlisten
    | Parted
    | Stop
    | Rename
    | Update
    | Rewire
    | Kill
    | Pause
    | Unpause
    | Wait
    | Remove
    | Top
    | Stats
    | Check
    | Snapshot
    | Suspend
    | Lend
    | Still
    | GoOn
)


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """The process's pid, and whether its standard input is connected."""

    pid: U32
    stdin: bool


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """An ExitStatus."""

    code: int | None
    signal: int | None
    core_dumped: bool
    why: Why

    @classmethod
    def of(cls, status: ExitStatus) -> Status:
        return cls(**msgspec.structs.asdict(status))

    def exit_status(self) -> ExitStatus:
        return ExitStatus(**msgspec.structs.asdict(self))


def to_message(value: msgspec.Struct) -> dict[str, Any]:
    """`value` as the map that goes on the wire."""
    message: dict[str, Any] = msgspec.to_builtins(value, builtin_types=(bytes,))
    return message


def from_message(message: dict[str, Any]) -> Op:
    """The request in `message`. Raises ProtocolError."""
    try:
        op: Op = decoder.convert(message, Op)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"not a request of a control socket: {error}") from error
    return op


def status_of(message: dict[str, Any]) -> ExitStatus:
    """The ExitStatus in an answer. Raises ProtocolError."""
    return convert(message, Status).exit_status()
