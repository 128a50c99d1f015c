"""TreeCompare: what a container in namespaces changed, told and as a layer, by a process that may read it.

The rule: nothing is written but what the caller is given, and the process ends with the caller's interest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Generator, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from firkin.archive.writer import END_OF_ARCHIVE
from firkin.container.record import Record
from firkin.errors import HostUnsupported
from firkin.linux import storage_namespace
from firkin.linux.id_map import IdMap
from firkin.rootfs.tree_job import Failed
from firkin.rootfs.trees import failure
from firkin.snapshot.diff import Change, Kind

_CHILD = "firkin.snapshot.tree_child"
_PIECE_BYTES = 1 << 18
_SAID_BYTES = 1 << 16


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Compare the directory `lower` with `upper`, which is `overlaid` over it, or whole; `ours` are the ids
    that the process itself has.
    """

    lower: str
    upper: str
    overlaid: bool
    fuse: bool
    layer: bool
    id_map: IdMap
    ours: IdMap
    apart_from: tuple[str, ...]


def changes(record: Record, lower: Path, apart_from: Collection[str]) -> Iterator[Change]:
    """What changed in the container since its image, whose files are in `lower`. The caller sees to it that
    nothing writes meanwhile.

    Raises Corrupt, HostUnsupported, OSError.
    """
    job = _job(record, lower, apart_from, layer=False)
    if job is None:
        return
    left = b""
    with closing(_answers(job)) as pieces:
        for piece in pieces:
            *lines, left = (left + piece).split(b"\n")
            for line in lines:
                kind, path = msgspec.json.decode(line, type=tuple[Kind, bytes])
                yield Change(kind, os.fsdecode(path))


def layer(record: Record, lower: Path, apart_from: Collection[str]) -> Iterator[bytes]:
    """The same as an uncompressed layer. Raises UsageError as well, and Conflict."""
    job = _job(record, lower, apart_from, layer=True)
    if job is None:
        yield END_OF_ARCHIVE
        return
    with closing(_answers(job)) as pieces:
        yield from pieces


def _job(record: Record, lower: Path, apart_from: Collection[str], *, layer: bool) -> Job | None:
    """None where nothing was ever written: it has not run."""
    spec, upper = record.spec(), record.dir / "upper"
    assert spec.id_map is not None
    if not upper.is_dir():
        return None
    return Job(
        lower=str(lower),
        upper=str(upper),
        overlaid=spec.storage_driver != "copy",
        fuse=spec.storage_driver == "fuse-overlayfs",
        layer=layer,
        id_map=spec.id_map,
        ours=storage_namespace.storage_map(),
        apart_from=tuple(apart_from),
    )


def _answers(job: Job) -> Generator[bytes, None, None]:
    """What the process says; it is killed where nobody listens any more. Raises what it failed of."""
    job_fd, said_fd = os.memfd_create("job", os.MFD_CLOEXEC), os.memfd_create("said", os.MFD_CLOEXEC)
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    with (
        open(job_fd, "r+b") as asked,
        open(said_fd, "rb") as said,
        open(read_fd, "rb", buffering=0) as answer,
    ):
        try:
            asked.write(msgspec.json.encode(job))
            asked.seek(0)
            env = {**storage_namespace.ENVIRONMENT, "PYTHONPATH": ":".join(filter(None, sys.path))}
            process = storage_namespace.started(
                [sys.executable, "-m", _CHILD],
                stdin_fd=job_fd,
                stdout_fd=write_fd,
                stderr_fd=said_fd,
                env=env,
            )
            with process as pid:
                os.close(write_fd)
                write_fd = -1
                while piece := answer.read(_PIECE_BYTES):
                    yield piece
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        finally:
            if write_fd >= 0:
                os.close(write_fd)
        if status:
            said.seek(0)
            raise _failure(said.read(_SAID_BYTES), status)


def _failure(said: bytes, status: int) -> Exception:
    try:
        found = failure(msgspec.json.decode(said, type=Failed))
        if not isinstance(found, OSError):
            return found
        return HostUnsupported(
            f"cannot read a container's files: {found.strerror}",
            hint="`firkin doctor` looks at this host; `sudo dmesg | tail` at its disk",
        )
    except msgspec.DecodeError:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        return HostUnsupported(
            f"the process that compares files ended with status {status}: {last or 'it said nothing'}",
            hint="`sudo dmesg | tail` says whether the kernel killed it for want of memory",
        )
