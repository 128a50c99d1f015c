"""`python -m benchmarks.to_disk REFERENCE`: pull an image and build its disk, and no more."""

from __future__ import annotations

import asyncio
import sys

from firkin.engine.engine import Engine
from firkin.rootfs.cache import build
from firkin.settings import Settings
from firkin.store.store import Store


async def to_disk(reference: str) -> None:
    settings = Settings.load()
    async with Engine(settings) as engine:
        image = await engine.pull(reference)
    build(
        image.layers,
        open_blob=Store(settings.paths).open_blob,
        rootfs_dir=settings.paths.rootfs_dir,
        size_bytes=settings.disk_bytes,
    )


if __name__ == "__main__":
    asyncio.run(to_disk(sys.argv[1]))
