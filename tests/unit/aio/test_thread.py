"""Work in a thread."""

import asyncio
import threading

import pytest

from firkin.aio.thread import Stopped, in_thread
from firkin.events import event, subscribed


async def test_it_returns_and_raises_what_the_work_does():
    assert await in_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


async def test_its_events_reach_the_callers_subscribers():
    seen = []
    with subscribed(seen.append):
        await in_thread(lambda: event("worked"))
    assert [each.name for each in seen] == ["worked"]


async def test_cancelled_work_stops_at_its_next_event_and_has_cleaned_up():
    begun, cleaned = threading.Event(), threading.Event()

    def work():
        try:
            while True:
                begun.set()
                event("step")
        except Stopped:
            cleaned.set()
            raise

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned.is_set()
