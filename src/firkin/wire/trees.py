"""Trees of files in and out of a container, as values: what the agent is asked, and what it says at the end.

Paths are bytes, as the container's kernel has them. Whoever carries a request fills in who does it and over
which streams: `message` does so for the agent.
"""

from __future__ import annotations

from typing import Any

import msgspec

from firkin.wire.messages import Failure, Offset, convert

RESULT_LIMIT_BYTES = 1 << 16


class _Task(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", tag=str.lower
): ...


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    uid: int
    gid: int


class Unpack(_Task, frozen=True, kw_only=True):
    """A tar becomes a tree in the directory `path`."""

    path: bytes
    create: bool = False
    whiteouts: bool = False
    replace: bool = False
    owner: Owner | None = None


class Pack(_Task, frozen=True, kw_only=True):
    """`paths` become a tar, in which they have `names`; "" stands for what is in a directory.

    `written` are those of what was written over a root that is only read, as overlayfs keeps it.
    """

    paths: tuple[bytes, ...]
    names: tuple[bytes, ...]
    follow: bool = False
    mounts: bool = True
    written: bool = False


class Stat(_Task, frozen=True, kw_only=True):
    """What lies at `path`, or at the end of a link there."""

    path: bytes
    follow: bool = False


Task = Unpack | Pack | Stat


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What was packed or unpacked; `left_out` are sockets, or attributes that a file system cannot hold."""

    entries: Offset
    bytes: Offset
    left_out: Offset


class FileStat(msgspec.Struct, frozen=True, kw_only=True):
    """What lies somewhere; `mode` with the type, `link` what a symbolic link says."""

    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: bytes


class _Result(msgspec.Struct, frozen=True, kw_only=True):
    ok: dict[str, Any] | None = None
    err: Failure | None = None


def message(task: Task, *, proc: int, container: str, stream: int, result: int) -> dict[str, Any]:
    """The request to the agent, without its id."""
    fields: dict[str, Any] = msgspec.to_builtins(task, builtin_types=(bytes,))
    streams = {"result": result} | ({} if isinstance(task, Stat) else {"stream": stream})
    return {**fields, "proc": proc, "container": container, **streams}


def result_of(said: bytes) -> dict[str, Any] | Failure | None:
    """What the agent said at the end; None where it was killed before. Raises ProtocolError."""
    if not said:
        return None
    try:
        told = msgspec.msgpack.decode(said)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        told = None
    result = convert(told, _Result)
    return result.err if result.ok is None else result.ok
