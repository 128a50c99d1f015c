"""Volumes: AsyncVolumes with blocking calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firkin.api.async_volumes import AsyncVolumes
from firkin.api.loop import Loop
from firkin.engine.volume_summary import VolumeSummary


class Volumes:
    """The volumes of one user, by name. From Engine.volumes."""

    def __init__(self, volumes: AsyncVolumes, loop: Loop) -> None:
        self._volumes, self._loop = volumes, loop

    def create(
        self,
        name: str = "",
        *,
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> VolumeSummary:
        """A new volume; where there is one of that name, as asked for, that one."""
        return self._loop.call(self._volumes.create(name, driver=driver, options=options, labels=labels))

    def list(self) -> tuple[VolumeSummary, ...]:
        """All volumes, by name."""
        return self._loop.call(self._volumes.list())

    def inspect(self, name: str) -> dict[str, Any]:
        """All that is known of one, with Docker's names. Raises VolumeNotFound."""
        return self._loop.call(self._volumes.inspect(name))

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume and what it holds. Raises VolumeNotFound, InUse."""
        self._loop.call(self._volumes.remove(name, force=force))

    def prune(self, *, all: bool = False) -> tuple[str, ...]:
        """Remove those that nobody named and nothing uses, with `all` also named ones; says what went."""
        return self._loop.call(self._volumes.prune(all=all))

    def chown(self, name: str, uid: int, gid: int | None = None) -> None:
        """Give a volume that is a directory, and all that is in it, to a user of containers."""
        self._loop.call(self._volumes.chown(name, uid, gid))
