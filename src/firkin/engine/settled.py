"""Settled: an ended container has a machine for a moment more, which writes down what the container wrote."""

from __future__ import annotations

import asyncio

from firkin.container.record import Exited, Record, Suspended
from firkin.engine.deadline import within

_DEADLINE_S = 40.0
_LOOK_EVERY_S = 0.02


async def settled(record: Record) -> None:
    """Wait until nobody owns `record`, if that is of an ended or a suspended container. Raises Timeout."""
    async with within(_DEADLINE_S, f"the end of container {record.id[:12]}"):
        while True:
            if not isinstance(record.state(), Exited | Suspended) or not record.is_owned():
                return
            await asyncio.sleep(_LOOK_EVERY_S)
