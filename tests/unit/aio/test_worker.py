"""One thread that stays does the work, and nothing that came of cancelled work is lost."""

from __future__ import annotations

import asyncio
import threading

import pytest

from firkin.aio.worker import Worker
from firkin.events import event, subscribed


def nothing(_: object) -> None: ...


async def test_one_thread_does_all_of_it_and_stays_until_the_end() -> None:
    worker = Worker("test")
    first = await worker.do(threading.current_thread, nothing)
    assert first is await worker.do(threading.current_thread, nothing)
    assert first is not threading.current_thread()
    assert first.is_alive()
    worker.close()
    worker.close()
    first.join(5)
    assert not first.is_alive()


async def test_the_loop_goes_on_and_the_work_tells_its_events() -> None:
    worker, told, go = Worker("test"), [], threading.Event()

    def work() -> str:
        go.wait(5)
        event("work.done")
        return "result"

    with subscribed(lambda each: told.append(each.name)):
        doing = asyncio.create_task(worker.do(work, nothing))
        await asyncio.sleep(0)
        go.set()
        assert (await doing, told) == ("result", ["work.done"])
    worker.close()


async def test_what_the_work_raises_is_raised() -> None:
    worker = Worker("test")
    with pytest.raises(ZeroDivisionError):
        await worker.do(lambda: 1 // 0, nothing)
    worker.close()


async def test_what_came_of_cancelled_work_is_undone_before_the_cancellation_goes_on() -> None:
    worker, begun, go = Worker("test"), threading.Event(), threading.Event()
    undone: list[str] = []

    def work() -> str:
        begun.set()
        go.wait(5)
        return "made"

    doing = asyncio.create_task(worker.do(work, undone.append))
    await asyncio.to_thread(begun.wait, 5)
    doing.cancel()
    await asyncio.sleep(0)
    assert undone == []
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await doing
    assert undone == ["made"]
    worker.close()


async def test_cancelled_work_that_has_not_begun_is_never_done() -> None:
    worker, go, done = Worker("test"), threading.Event(), []
    first = asyncio.create_task(worker.do(lambda: go.wait(5), nothing))
    second = asyncio.create_task(worker.do(lambda: done.append(1), done.append))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go.set()
    assert await first
    assert done == []
    worker.close()
