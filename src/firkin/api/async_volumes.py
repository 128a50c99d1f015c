"""AsyncVolumes: what containers keep beside their own disks, from asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from firkin.aio.thread import in_thread
from firkin.container import volume_use
from firkin.engine import volume_owner, volume_summary
from firkin.engine.volume_summary import VolumeSummary
from firkin.settings import Settings


class AsyncVolumes:
    """The volumes of one user, by name. From AsyncEngine.volumes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def create(
        self,
        name: str = "",
        *,
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> VolumeSummary:
        """A new volume; where there is one of that name, as asked for, that one.

        `driver` is "disk" or "dir"; `options` are "size", and for a directory "device". Raises UsageError,
        NameInUse, StorageFull.
        """
        make = partial(
            volume_summary.create, self._settings, name, driver=driver, options=options, labels=labels
        )
        made = await in_thread(make)
        return volume_summary.summary(self._settings.paths, made.name)

    async def list(self) -> tuple[VolumeSummary, ...]:
        """All volumes, by name. Raises Corrupt where one cannot be read."""
        return tuple(volume_summary.summaries(self._settings.paths))

    async def inspect(self, name: str) -> dict[str, Any]:
        """All that is known of one, with Docker's names. Raises VolumeNotFound, Corrupt."""
        return volume_summary.facts(self._settings.paths, name)

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume and what it holds; with `force` also one that cannot be read.

        Raises VolumeNotFound, Corrupt, and InUse, which names the containers that list it.
        """
        await in_thread(partial(volume_use.remove, self._settings.paths, name, force=force))

    async def prune(self, *, all: bool = False) -> tuple[str, ...]:
        """Remove those that nobody named and nothing uses, with `all` also named ones: the names of what
        went.
        """
        gone, _ = await in_thread(partial(volume_summary.prune, self._settings.paths, all=all))
        return tuple(gone)

    async def chown(self, name: str, uid: int, gid: int | None = None) -> None:
        """Give a volume and all that is in it to a user of containers, and to the group of the same number
        unless another is said; links are changed themselves, not what they lead to.

        For volumes that are directories of this host. Raises VolumeNotFound, UsageError for a disk or an id
        that this user may not map, HostUnsupported.
        """
        wanted = volume_owner.parse_owner(f"{uid}:{uid if gid is None else gid}")
        await in_thread(partial(volume_owner.chown, self._settings.paths, name, *wanted))
