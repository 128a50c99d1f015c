"""Ties: what goes with the process that made it, though the supervisor owns it.

    containers/<id>/tie      flock: held by its maker; free means that it may go

The rule: whoever owns it looks, and removes it; where nobody does, whoever tidies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from firkin.container.locks import Lock, is_held, take
from firkin.container.record import Record
from firkin.container.spec import ContainerSpec
from firkin.errors import ContainerNotFound, FirkinError
from firkin.events import event

_TIE = "tie"
LOOK_EVERY_S = 0.5


def is_tied(spec: ContainerSpec) -> bool:
    """Whether it goes with its maker."""
    return spec.pod is not None and spec.pod.tied


def tie(record: Record) -> Lock:
    """Its maker's lock, until it is closed or this process ends. Raises InUse."""
    return take(record.dir / _TIE, f"container {record.id[:12]} is another process's")


def is_free(record: Record) -> bool:
    """Whether its maker has gone."""
    return not is_held(record.dir / _TIE)


async def remove_once_free(record: Record, discard: Callable[[str], Awaitable[None]]) -> None:
    """Wait until its maker has gone, and `discard` it then, unless it is gone already."""
    while record.dir.is_dir() and not is_free(record):  # noqa: ASYNC110  # no kernel tells that it is
        await asyncio.sleep(LOOK_EVERY_S)  # the kernel tells nobody of a lock that is free
    try:
        await discard(record.id)
    except ContainerNotFound:
        return
    except FirkinError as error:  # whoever tidies tries again
        event("container.left", container=record.id, error=error)
