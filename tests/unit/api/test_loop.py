"""The loop behind the blocking API."""

import asyncio
import os
import signal
import threading

import pytest

from firkin.api.loop import Loop
from firkin.events import event, subscribed


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


def test_a_call_returns_what_its_coroutine_returns(loop):
    async def seven():
        await asyncio.sleep(0)
        return 7

    assert loop.call(seven()) == 7


def test_a_call_raises_what_its_coroutine_raises(loop):
    async def bad():
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        loop.call(bad())


def test_who_subscribed_in_the_calling_thread_sees_the_events(loop):
    async def speak():
        event("spoke")

    seen = []
    with subscribed(seen.append):
        loop.call(speak())
    assert [each.name for each in seen] == ["spoke"]


def test_ctrl_c_cancels_the_call_and_waits_until_it_has_cleaned_up(loop):
    steps = []

    async def long():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            steps.append("cleaned")

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        loop.call(long())
    assert steps == ["cleaned"]


@pytest.mark.parametrize("handed_over", [True, False])
def test_ctrl_c_while_a_call_is_handed_over_leaves_nothing_of_it(loop, monkeypatch, handed_over):
    steps = []
    begun = threading.Event()
    hand_over = loop._loop.call_soon_threadsafe

    def interrupted(function, **how):
        monkeypatch.undo()
        if handed_over:
            hand_over(function, **how)
            begun.wait()
        raise KeyboardInterrupt

    async def long():
        try:
            begun.set()
            await asyncio.sleep(60)
        finally:
            steps.append("cleaned")

    monkeypatch.setattr(loop._loop, "call_soon_threadsafe", interrupted)
    call = long()
    with pytest.raises(KeyboardInterrupt):
        loop.call(call)
    assert call.cr_frame is None  # it has ended
    assert steps == (["cleaned"] if handed_over else [])


def test_threads_may_call_at_once(loop):
    meeting = asyncio.Barrier(4)

    async def meet():
        await meeting.wait()

    threads = [threading.Thread(target=lambda: loop.call(meet())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


def test_items_come_one_at_a_time(loop):
    async def count():
        for number in range(3):
            yield number

    assert list(loop.iterate(count())) == [0, 1, 2]


def test_a_closed_loop_refuses_calls_and_leaves_no_thread():
    loop = Loop()
    loop.close()
    loop.close()

    async def nothing(): ...

    with pytest.raises(RuntimeError, match="closed"):
        loop.call(nothing())
    assert not any(thread.name == "firkin" for thread in threading.enumerate())


def test_closing_cancels_what_still_runs():
    loop = Loop()
    ended = threading.Event()

    async def start():
        async def forever():
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

        loop.keep = asyncio.create_task(forever())
        await asyncio.sleep(0)

    loop.call(start())
    loop.close()
    assert ended.is_set()
