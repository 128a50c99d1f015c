"""PoolWords: what may be said of a pool, and the Pool that is meant."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import Unpack

from firkin.engine.admission import DISK_RESERVE_BYTES
from firkin.engine.engine import Engine
from firkin.engine.owner import OwnedContainer
from firkin.engine.process_words import words
from firkin.engine.words import RunWords, Size, choice, run_options, size_bytes
from firkin.errors import UsageError
from firkin.pool.bounds import LOAD_PER_PROCESSOR, Bounds, facts_of
from firkin.pool.member import Source
from firkin.pool.pool import Pool, WhenEmpty
from firkin.pool.source import OfImage, OfSnapshot
from firkin.snapshot.record import Snapshot


class PoolWords(RunWords, total=False):
    """The keywords of Engine.pool(): those of run(), and what there is to say of the pool itself."""

    most: int | None
    when_empty: str
    warm: Iterable[str] | None
    reserve_memory: Size | None
    reserve_disk: Size | None
    max_load: float | None


def pool_of(
    engine: Engine,
    source: str | Snapshot,
    command: Iterable[str],
    *,
    ready: int,
    most: int | None = None,
    when_empty: str = "start",
    warm: Iterable[str] | None = None,
    reserve_memory: Size | None = None,
    reserve_disk: Size | None = None,
    max_load: float | None = None,
    **run_words: Unpack[RunWords],
) -> Pool[OwnedContainer]:
    """A pool of containers of the image or from the snapshot `source`. Raises UsageError."""
    disk_bytes = size_bytes("reserve_disk", reserve_disk)
    bounds = Bounds(
        ready=ready,
        most=most,
        reserve_memory_bytes=size_bytes("reserve_memory", reserve_memory),
        reserve_disk_bytes=DISK_RESERVE_BYTES if disk_bytes is None else disk_bytes,
        max_load=LOAD_PER_PROCESSOR * (os.cpu_count() or 1) if max_load is None else max_load,
    )
    return Pool(
        _source(engine, source, command, **run_words),
        bounds,
        partial(facts_of, engine.paths),
        warm=None if warm is None else words("warm", warm),
        when_empty=choice("when_empty", when_empty, WhenEmpty),
    )


def _source(
    engine: Engine, source: str | Snapshot, command: Iterable[str], **run_words: Unpack[RunWords]
) -> Source[OwnedContainer]:
    if not run_words.get("auto_remove", True):
        raise UsageError(
            "auto_remove: a machine of a pool goes with all that it wrote", hint="leave it out, or use run()"
        )
    if isinstance(source, str):
        return OfImage(engine, run_options(source, command, **run_words))
    if run_words or tuple(command):
        raise UsageError(
            f"what goes on from snapshot {source.name!r} is what it was, and no other command",
            hint="exec() in what was leased",
        )
    return OfSnapshot(engine, source)
