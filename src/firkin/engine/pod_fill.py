"""Fill: the files that volumes of a pod begin with, put there at each start before any member's."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from firkin.archive.entry import Entry
from firkin.archive.writer import END_OF_ARCHIVE, headers, padding
from firkin.container.pod import PodFile, PodVolume
from firkin.engine.pod_places import volume_dir
from firkin.engine.pod_unpack import trees_of_machine
from firkin.wire.trees import Unpack

if TYPE_CHECKING:
    from firkin.agent.client import AgentClient


async def fill(client: AgentClient, volumes: Iterable[PodVolume]) -> None:
    """Fill those of `volumes` that begin with files. Raises AgentError, MachineDied, StorageFull."""
    trees = trees_of_machine(client)
    for volume in volumes:
        if volume.files:
            await trees.unpack(Unpack(path=volume_dir(volume.name).encode()), _archive(volume.files))


async def _archive(files: Iterable[PodFile]) -> AsyncIterator[bytes]:
    for file in files:
        entry = Entry(
            path=file.path.encode(),
            kind=stat.S_IFREG,
            mode=file.mode,
            uid=0,
            gid=0,
            size=len(file.content),
            mtime_ns=0,
            link=b"",
        )
        yield headers(entry)
        yield file.content
        yield padding(len(file.content))
    yield END_OF_ARCHIVE
