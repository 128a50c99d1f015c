"""Trees: files of a container as archives, in and out.

The rule: what was asked for is done when a call returns; else it raises, naming the path. What a crash of
ours leaves is what the file system's journal makes of a machine that lost its power.
"""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Protocol

from firkin.errors import (
    AgentError,
    Corrupt,
    FirkinError,
    MachineDied,
    NotFound,
    StorageFull,
    UsageError,
)
from firkin.process.protocol import ByteReceiver, Process
from firkin.wire.messages import Failure, convert
from firkin.wire.trees import RESULT_LIMIT_BYTES, Counts, FileStat, Pack, Stat, Task, Unpack, result_of

_PIECE_BYTES = 1 << 16


class Works(Protocol):
    """Whatever does such tasks."""

    async def work(self, task: Task) -> Process: ...


class Trees:
    """The files of the container `name`. Made by trees_of()."""

    def __init__(self, works: Works, name: str) -> None:
        self._works = works
        self.name = name

    async def stat(self, path: bytes, *, follow: bool = False) -> FileStat:
        """What lies at `path`. Raises NotFound, UsageError where a parent is no directory."""
        process = await self._works.work(Stat(path=path, follow=follow))
        return convert(await self._result(process), FileStat)

    async def unpack(self, task: Unpack, archive: AsyncIterator[bytes]) -> Counts:
        """Make a tree of `archive`, a plain tar. Raises NotFound, UsageError, StorageFull, Corrupt.

        What stood in the archive before the entry that failed is there then.
        """
        process = await self._works.work(task)
        stdin = process.stdin
        assert stdin is not None
        with _given_up_early(process):
            with suppress(BrokenPipeError):  # it reads no more: its result says why
                async for piece in archive:
                    await stdin.write(piece)
            stdin.close()
            return convert(await self._result(process), Counts)

    @asynccontextmanager
    async def pack(self, task: Pack) -> AsyncIterator[ByteReceiver]:
        """A tar of the paths, to be read to its end in the block, which raises what failed at its own end.

        Raises NotFound, UsageError, AgentError.
        """
        process = await self._works.work(task)
        with _given_up_early(process):
            yield process.stdout
            process.stdout.close()
            await self._result(process)

    async def _result(self, process: Process) -> object:
        said = b""
        while len(said) <= RESULT_LIMIT_BYTES and (piece := await process.stderr.read(_PIECE_BYTES)):
            said += piece
        await process.wait()
        result = result_of(said[: RESULT_LIMIT_BYTES + 1])
        if result is None:
            raise MachineDied(
                f"container {self.name!r} ended while its files were copied", hint="start it and copy again"
            )
        if isinstance(result, Failure):
            raise self._error(result)
        return result

    def _error(self, failure: Failure) -> FirkinError:
        where, what = f"in container {self.name!r}", failure.object
        match failure.errno:
            case errno.ENOENT:
                return NotFound(
                    f"no such file or directory {where}: {what}",
                    hint="look for a typing error",
                )
            case errno.ENOSPC | errno.EDQUOT:
                return StorageFull(
                    f"cannot {failure.step} {what!r} {where}: its disk is full",
                    hint="remove files there, or run it with a larger disk",
                )
            case errno.EXDEV:
                return UsageError(
                    f"archive entry {what!r} leads out of the destination {where}",
                    hint="unpack such an archive at /, where its links mean the container's root",
                )
            case errno.EISDIR | errno.ENOTDIR:
                return UsageError(
                    f"cannot {failure.step} {what!r} {where}: {os.strerror(failure.errno)}",
                    hint="remove what is there first, or name another destination",
                )
            case errno.EBADMSG:
                return Corrupt(f"the archive for container {self.name!r} is damaged at {what}")
        return AgentError(f"cannot {failure.step} {what!r} {where}: {os.strerror(failure.errno)}")


def give_up(process: Process) -> None:
    """Let the work of `process` end soon, for nobody waits for it. A cut archive leaves no half file."""
    if process.stdin is not None:
        process.stdin.close()
    process.stdout.close()
    process.stderr.close()


@contextmanager
def _given_up_early(process: Process) -> Iterator[None]:
    try:
        yield
    except BaseException:
        give_up(process)
        raise
