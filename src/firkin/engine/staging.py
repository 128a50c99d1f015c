"""Staging: an image's disk, pulled and built where it is missing, as a file of the user's."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from firkin.aio.thread import in_thread
from firkin.engine.images import Images
from firkin.engine.options import PullPolicy
from firkin.engine.staged_file import Staged, StageFormat, check_place, stage_file
from firkin.events import stage
from firkin.rootfs.cache import build
from firkin.settings import Settings


async def stage_to(
    settings: Settings,
    path: str | os.PathLike[str],
    image: str,
    *,
    form: StageFormat = "raw",
    disk_bytes: int | None = None,
    platform: str = "",
    policy: PullPolicy = "missing",
    replace: bool = False,
) -> Staged:
    """Write the disk of `image`, of `disk_bytes` (else the setting's), to the file `path`.

    Raises UsageError, NameInUse where there is one already and it is not to be replaced, StorageFull,
    HostUnsupported, and what pulling and building raise; then nothing of it is left.
    """
    place = Path(os.path.abspath(os.path.expanduser(path)))
    check_place(place, replace=replace)
    images = Images(settings)
    with images.store.adding():
        found = await images.pull(image, platform=platform, policy=policy)
        rootfs = await in_thread(
            partial(
                build,
                found.layers,
                open_blob=images.store.open_blob,
                rootfs_dir=settings.paths.rootfs_dir,
                size_bytes=settings.disk_bytes if disk_bytes is None else disk_bytes,
            )
        )
        with stage("stage", reference=image, path=str(place), format=form):
            return await in_thread(partial(stage_file, rootfs, place, form, replace=replace))
