"""The policy of a pool, with machines that cost nothing: who gets which, what is made, what goes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import msgspec
import pytest

import firkin.pool.member
import firkin.pool.pool
from firkin.engine.options import ExecOptions
from firkin.errors import (
    CommandFailed,
    CommandNotFound,
    FirkinError,
    ImageNotFound,
    MachineDied,
    MemoryFull,
    PoolEmpty,
    Timeout,
    WrongState,
)
from firkin.events import Event, subscribed
from firkin.pool.bounds import Bounds, Facts
from firkin.pool.member import Member
from firkin.pool.pool import Pool
from firkin.process.spec import ExitStatus

GIB = 1 << 30
ROOMY = Facts(memory_bytes=16 * GIB, available_bytes=12 * GIB, disk_free_bytes=100 * GIB)


class Said:
    """A process that ended with `code` and wrote nothing."""

    pid, stdin = 1, None

    def __init__(self, code: int) -> None:
        self.stdout = self.stderr = self
        self._code = code

    async def read(self, limit: int = 0) -> bytes:
        return b""

    def close(self) -> None: ...

    async def wait(self) -> ExitStatus:
        return ExitStatus(code=self._code)

    async def signal(self, number: int) -> None: ...

    async def resize(self, rows: int, cols: int) -> None: ...


class Box:
    """A container that is a few flags. It checks that whoever has it does nothing that a real one forbids."""

    def __init__(self, number: int, source: Boxes) -> None:
        self.id = f"{number:064x}"
        self.number = number
        self.source = source
        self.asleep = False
        self.leases = 0
        self.ran: list[tuple[str, ...]] = []
        self.death: FirkinError | None = None
        self._gone = asyncio.Event()

    async def exec(self, options: ExecOptions) -> Any:
        assert not self.asleep
        await asyncio.sleep(0)
        if self._gone.is_set():
            raise WrongState("it is not running")
        self.ran.append(options.command)
        if options.command == ("missing",):
            raise CommandNotFound("no such program")
        return Said(3 if options.command == ("false",) else 0)

    async def rest(self) -> None:
        await asyncio.sleep(0)
        if self._gone.is_set():
            raise WrongState("it is not running")
        assert not self.asleep
        self.asleep = True

    async def wake(self) -> None:
        await self.source.waking.wait()
        if self._gone.is_set():
            raise MachineDied(f"machine {self.number} is gone")
        assert self.asleep
        self.asleep = False

    def die(self) -> None:
        self.death = MachineDied(f"machine {self.number} was killed")
        self._gone.set()

    def exit(self) -> None:
        self._gone.set()

    @property
    def over(self) -> bool:
        return self._gone.is_set()

    async def close(self, *, remove: bool = False) -> None:
        assert remove
        await asyncio.sleep(0)
        self._gone.set()

    async def finished(self) -> None:
        await self._gone.wait()

    async def wait(self) -> ExitStatus:
        await self._gone.wait()
        if self.death is not None:
            raise self.death
        return ExitStatus(code=7)


class Boxes:
    """Starts boxes while `starting` is set, and wakes them while `waking` is; `errors` come instead."""

    each_bytes = GIB

    def __init__(self) -> None:
        self.made: list[Box] = []
        self.begun = 0
        self.closed = False
        self.errors: list[Exception] = []
        self.error: Exception | None = None
        self.starting = asyncio.Event()
        self.starting.set()
        self.waking = asyncio.Event()
        self.waking.set()
        self.at_start: Callable[[Box], None] = lambda box: None

    def close(self) -> None:
        assert [box.number for box in self.made if not box.over] == []
        self.closed = True

    async def start(self) -> Box:
        assert not self.closed
        self.begun += 1
        await self.starting.wait()
        await asyncio.sleep(0)
        if self.errors or self.error is not None:
            raise self.errors.pop(0) if self.errors else self.error  # type: ignore[misc]
        box = Box(len(self.made), self)
        self.made.append(box)
        self.at_start(box)
        return box


class Host:
    """Facts that a test changes."""

    def __init__(self) -> None:
        self.facts = ROOMY

    def __call__(self) -> Facts:
        return self.facts

    def has(self, **different: float) -> None:
        self.facts = msgspec.structs.replace(self.facts, **different)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firkin.pool.pool, "TICK_S", 0.01)


@pytest.fixture
async def boxes() -> Boxes:
    return Boxes()


@pytest.fixture
def host() -> Host:
    return Host()


@asynccontextmanager
async def pool_of(boxes: Boxes, host: Host, **words: Any) -> AsyncIterator[Pool[Box]]:
    """A pool, of whose boxes none is left afterwards."""
    chosen = {name: words.pop(name) for name in tuple(words) if name in Bounds.__struct_fields__}
    async with Pool(boxes, Bounds(**({"ready": 2} | chosen)), host, **words) as pool:
        yield pool
    stats = pool.stats
    assert (stats.ready, stats.filling, stats.leased, stats.ending, stats.waiting) == (0, 0, 0, 0, 0)
    assert boxes.closed
    assert [box.number for box in boxes.made if not box.over] == []


async def until(true: Callable[[], object]) -> None:
    """Let everything else go on until it is so."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what is waited for is what others see
            await asyncio.sleep(0.001)


# --- leases ------------------------------------------------------------------------------------------------


async def test_what_is_ready_stands_still_and_is_leased_awake(boxes: Boxes, host: Host) -> None:
    async with pool_of(boxes, host) as pool:
        await pool.filled(5)
        assert [box.asleep for box in boxes.made] == [True, True]
        assert [box.ran for box in boxes.made] == [[("true",)], [("true",)]]
        box = await pool.lease()
        assert not box.asleep
        assert (pool.stats.hits, pool.stats.misses, pool.stats.leased, pool.stats.hit_rate) == (1, 0, 1, 1.0)
        assert pool.stats.last_lease_s == pool.stats.median_lease_s is not None
        await pool.filled(5)
        assert len(boxes.made) == 3


async def test_what_was_leased_once_is_never_leased_again(boxes: Boxes, host: Host) -> None:
    async with pool_of(boxes, host, ready=3) as pool:
        leased = []
        for _ in range(20):
            box = await pool.lease(5)
            leased.append(box)
            await box.close(remove=True)
        assert len({box.number for box in leased}) == 20
        await until(lambda: pool.stats.leased == pool.stats.ending == 0)


def test_a_machine_goes_through_its_states_in_one_direction() -> None:
    member = Member[Box]()
    member.move("idle")
    member.move("leased")
    for back in ("filling", "idle", "leased"):
        with pytest.raises(WrongState, match=f"cannot become {back} when it is leased"):
            member.move(back)  # type: ignore[arg-type]
    member.move("gone")
    with pytest.raises(WrongState):
        member.move("leased")


async def test_the_one_that_was_ready_last_is_leased_first(boxes: Boxes, host: Host) -> None:
    async with pool_of(boxes, host, ready=3, at_once=1) as pool:
        await pool.filled(5)
        assert [(await pool.lease()).number for _ in range(3)] == [2, 1, 0]


async def test_an_empty_pool_starts_one_for_each_lease_and_does_not_pause_it(
    boxes: Boxes, host: Host
) -> None:
    async with pool_of(boxes, host, ready=0) as pool:
        got = await asyncio.gather(*(pool.lease(5) for _ in range(4)))
        assert len({box.number for box in got}) == len(boxes.made) == 4
        assert [box.ran for box in got] == [[], [], [], []]
        assert (pool.stats.hits, pool.stats.misses, pool.stats.hit_rate) == (0, 4, 0.0)


async def test_who_waits_is_served_in_turn(boxes: Boxes, host: Host) -> None:
    boxes.starting.clear()
    async with pool_of(boxes, host, ready=1, at_once=1, when_empty="wait") as pool:
        order: list[int] = []

        async def lease(number: int) -> None:
            await pool.lease(5)
            order.append(number)

        async with asyncio.TaskGroup() as lessees:
            for number in range(5):
                lessees.create_task(lease(number))
            await until(lambda: pool.stats.waiting == 5)
            assert boxes.begun == 1  # one at a time
            boxes.starting.set()
        assert order == [0, 1, 2, 3, 4]


async def test_a_pool_that_does_not_wait_refuses_and_says_what_there_is(boxes: Boxes, host: Host) -> None:
    async with pool_of(boxes, host, ready=1, when_empty="refuse") as pool:
        await pool.filled(5)
        await pool.lease()
        boxes.starting.clear()
        await until(lambda: pool.stats.filling)
        with pytest.raises(PoolEmpty, match="1 are leased, 1 being made"):
            await pool.lease()
        assert (pool.stats.hits, pool.stats.misses) == (1, 1)


async def test_when_all_that_there_may_be_are_leased_the_next_waits_for_an_end(
    boxes: Boxes, host: Host
) -> None:
    async with pool_of(boxes, host, ready=1, most=2) as pool:
        first, _ = await pool.lease(5), await pool.lease(5)
        with pytest.raises(Timeout, match=r"lease of a machine of the pool took longer than 0\.05 s"):
            await pool.lease(0.05)
        waiting = asyncio.create_task(pool.lease(5))
        await until(lambda: pool.stats.waiting == 1)
        await first.close(remove=True)
        assert (await waiting).number == 2


async def test_a_lease_that_gives_up_costs_the_next_nothing(boxes: Boxes, host: Host) -> None:
    boxes.starting.clear()
    async with pool_of(boxes, host, ready=1, when_empty="wait") as pool:
        gives_up, stays = asyncio.create_task(pool.lease()), asyncio.create_task(pool.lease(5))
        await until(lambda: pool.stats.waiting == 2)
        gives_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gives_up
        assert pool.stats.waiting == 1
        boxes.starting.set()
        assert (await stays).number == 0


async def test_a_machine_given_to_who_was_cancelled_at_that_moment_is_ended(boxes: Boxes, host: Host) -> None:
    def cancel(event: Event) -> None:
        if event.name == "pool.filled":  # it is given in the same step, before the lessee hears of either
            asyncio.get_running_loop().call_soon(lessee.cancel)

    with subscribed(cancel):
        async with pool_of(boxes, host, ready=0) as pool:
            lessee = asyncio.create_task(pool.lease(5))
            with pytest.raises(asyncio.CancelledError):
                await lessee
            await until(lambda: boxes.made[0].over)
            assert pool.stats.leased == 0


async def test_a_lease_that_is_cancelled_while_it_wakes_ends_the_machine(boxes: Boxes, host: Host) -> None:
    async with pool_of(boxes, host, ready=1, when_empty="wait") as pool:
        await pool.filled(5)
        boxes.waking.clear()
        lessee = asyncio.create_task(pool.lease())
        await until(lambda: pool.stats.leased)
        lessee.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lessee
        await until(lambda: boxes.made[0].over)
        boxes.waking.set()
        assert (await pool.lease(5)).number == 1


async def test_a_subscriber_that_fails_at_a_lease_gets_its_error_and_the_machine_goes(
    boxes: Boxes, host: Host
) -> None:
    def fail(event: Event) -> None:
        if event.name == "pool.leased":
            raise FirkinError("a fault")

    async with pool_of(boxes, host) as pool:
        await pool.filled(5)
        with subscribed(fail), pytest.raises(FirkinError, match="a fault"):
            await pool.lease()
        await until(lambda: boxes.made[1].over)


# --- warm --------------------------------------------------------------------------------------------------


async def test_the_warm_command_runs_once_in_each_whoever_waits(boxes: Boxes, host: Host) -> None:
    async with pool_of(boxes, host, warm=("load", "all")) as pool:
        await pool.lease(5)
        await pool.filled(5)
        assert {tuple(box.ran) for box in boxes.made} == {(("load", "all"),)}


async def test_a_warm_command_that_fails_is_the_lessees_error(boxes: Boxes, host: Host) -> None:
    async with pool_of(boxes, host, warm=("false",)) as pool:
        with pytest.raises(
            CommandFailed, match=r"'false', which is to make .* warm, ended with exit status 3"
        ):
            await pool.lease(5)
        await until(lambda: boxes.made[0].over)


async def test_an_image_without_any_program_to_try_is_no_failure(
    boxes: Boxes, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firkin.pool.member, "NOTHING", ("missing",))
    async with pool_of(boxes, host) as pool:
        await pool.filled(5)
        assert pool.stats.failures == 0


async def test_a_first_process_that_does_not_stay_is_told(boxes: Boxes, host: Host) -> None:
    boxes.at_start = Box.exit
    async with pool_of(boxes, host, when_empty="wait") as pool:
        with pytest.raises(WrongState, match="ended with exit status 7 before it could be leased") as caught:
            await pool.filled(5)
        assert "sleep" in caught.value.hint


async def test_a_machine_that_dies_while_it_is_made_is_told_as_what_it_is(boxes: Boxes, host: Host) -> None:
    boxes.at_start = Box.die
    async with pool_of(boxes, host) as pool:
        with pytest.raises(MachineDied, match="was killed"):
            await pool.filled(5)


# --- faults ------------------------------------------------------------------------------------------------


async def test_one_that_dies_idle_is_noticed_and_replaced(boxes: Boxes, host: Host) -> None:
    async with pool_of(boxes, host, ready=1) as pool:
        await pool.filled(5)
        boxes.made[0].die()
        await until(lambda: pool.stats.died == 1)
        await pool.filled(5)
        assert (await pool.lease()).number == 1
        assert pool.stats.misses == 0


async def test_a_lease_never_gets_one_that_is_dead(boxes: Boxes, host: Host) -> None:
    async with pool_of(boxes, host, ready=3, at_once=1) as pool:
        await pool.filled(5)
        boxes.made[2].die()
        boxes.made[1].die()
        assert (await pool.lease()).number == 0  # before anybody had the time to notice
        assert pool.stats.died == 2


async def test_when_all_ready_ones_are_dead_the_lease_keeps_its_turn(boxes: Boxes, host: Host) -> None:
    async with pool_of(boxes, host, ready=1, at_once=1, when_empty="wait") as pool:
        await pool.filled(5)
        boxes.waking.clear()
        boxes.starting.clear()
        first = asyncio.create_task(pool.lease(5))
        await until(lambda: pool.stats.leased)
        second = asyncio.create_task(pool.lease(5))
        await until(lambda: pool.stats.waiting == 1)
        boxes.made[0].die()
        boxes.waking.set()
        await until(lambda: pool.stats.waiting == 2)
        boxes.starting.set()
        assert ((await first).number, (await second).number) == (1, 2)


async def test_one_that_does_not_wake_in_time_is_given_up(
    boxes: Boxes, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firkin.pool.member, "WAKE_PATIENCE_S", 0.02)
    async with pool_of(boxes, host, ready=1) as pool:
        await pool.filled(5)
        boxes.waking.clear()
        assert (await pool.lease(5)).number == 1  # made for it, so it need not wake
        assert pool.stats.died == 1


async def test_what_cannot_start_is_told_to_each_lessee_and_not_tried_for_ever(
    boxes: Boxes, host: Host
) -> None:
    boxes.error = ImageNotFound("no such image")
    async with pool_of(boxes, host, when_empty="wait") as pool:
        with pytest.raises(ImageNotFound):
            await pool.filled(5)
        for _ in range(3):
            with pytest.raises(ImageNotFound, match="no such image"):
                await pool.lease(5)
        begun = boxes.begun
        assert begun <= 6
        await asyncio.sleep(0.2)
        assert boxes.begun <= begun + 1
        assert pool.stats.last_failure == "no such image"
        assert pool.stats.failures == boxes.begun


async def test_a_failure_that_passes_is_forgotten(boxes: Boxes, host: Host) -> None:
    boxes.errors = [FirkinError("once")]
    async with pool_of(boxes, host, ready=1) as pool:
        with pytest.raises(FirkinError, match="once"):
            await pool.lease(5)
        await pool.lease(5)
        await pool.filled(5)
        assert (pool.stats.failures, pool.stats.last_failure) == (1, "")


async def test_a_fault_in_what_tells_of_the_host_is_a_failure_and_no_end(boxes: Boxes) -> None:
    answers: list[Exception] = [FirkinError("no /proc")]

    def facts() -> Facts:
        if answers:
            raise answers.pop()
        return ROOMY

    async with Pool(boxes, Bounds(ready=1), facts) as pool:
        with pytest.raises(FirkinError, match="no /proc"):
            await pool.filled(5)
        await pool.filled(5)


async def test_closing_ends_the_idle_the_leased_what_is_made_and_who_waits(boxes: Boxes, host: Host) -> None:
    async with pool_of(boxes, host, ready=2, at_once=1, when_empty="wait") as pool:
        await pool.filled(5)
        leased = await pool.lease()
        boxes.starting.clear()
        await pool.lease()
        waiting = asyncio.create_task(pool.lease())
        await until(lambda: pool.stats.filling and pool.stats.waiting)
        await asyncio.gather(pool.close(), pool.close())
        with pytest.raises(WrongState, match="closed"):
            await waiting
        assert leased.over
        for late in (pool.lease, pool.filled):
            with pytest.raises(WrongState, match="not open"):
                await late()
    with pytest.raises(WrongState, match="once"):
        await pool.__aenter__()


async def test_a_pool_whose_task_is_cancelled_leaves_nothing(boxes: Boxes, host: Host) -> None:
    async def use() -> None:
        async with Pool(boxes, Bounds(ready=3, at_once=1), host) as pool:
            await pool.lease(5)
            await asyncio.Event().wait()

    user = asyncio.create_task(use())
    await until(lambda: len(boxes.made) == 4)
    user.cancel()
    with pytest.raises(asyncio.CancelledError):
        await user
    assert all(box.over for box in boxes.made)


# --- pressure ----------------------------------------------------------------------------------------------


async def test_pressure_stops_the_making_then_ends_the_idle_and_never_the_leased(
    boxes: Boxes, host: Host
) -> None:
    told: list[str] = []

    def note(event: Event) -> None:
        if event.name in ("pool.pressure", "pool.evicted"):
            told.append(event.name if event.fields["reason"] else "over")

    with subscribed(note):
        async with pool_of(boxes, host, ready=3, at_once=1, reserve_memory_bytes=GIB) as pool:
            await pool.filled(5)
            leased = await pool.lease()  # the youngest
            host.has(available_bytes=2 * GIB - 1)  # room for none
            await until(lambda: pool.stats.pressure)
            assert "one more machine takes 1.07GB of memory" in pool.stats.pressure
            assert (pool.stats.ready, len(boxes.made)) == (2, 3)
            host.has(available_bytes=GIB - 1)  # below the floor
            await until(lambda: boxes.made[0].over)
            assert not boxes.made[1].over  # one at a time, the one that was idle for longest first
            await until(lambda: pool.stats.ready == 0)
            assert (pool.stats.evicted, pool.stats.leased, leased.over) == (2, 1, False)
            with pytest.raises(MemoryFull, match=r"none can be started: 1\.07GB are left of 1\.07GB"):
                await pool.lease()
            host.has(available_bytes=12 * GIB)
            await pool.filled(5)
            assert pool.stats.pressure == ""
    assert told == ["pool.pressure", "pool.pressure", "pool.evicted", "pool.evicted", "over"]


async def test_who_waits_under_pressure_is_served_when_it_goes(boxes: Boxes, host: Host) -> None:
    host.has(available_bytes=0)
    async with pool_of(boxes, host, ready=1, when_empty="wait") as pool:
        waiting = asyncio.create_task(pool.lease(5))
        await until(lambda: pool.stats.waiting and pool.stats.pressure)
        assert boxes.begun == 0
        host.has(available_bytes=12 * GIB)
        await waiting


async def test_under_load_nothing_is_made_but_what_somebody_waits_for(boxes: Boxes, host: Host) -> None:
    host.has(load=1000.0)
    async with pool_of(boxes, host, ready=2) as pool:
        await pool.lease(5)
        await asyncio.sleep(0.05)
        assert (boxes.begun, pool.stats.pressure[:16]) == (1, "the load is 1e+0")


async def test_who_waits_for_the_stock_itself_gets_it_under_load_and_hears_of_other_pressure(
    boxes: Boxes, host: Host
) -> None:
    host.has(load=1000.0)
    async with pool_of(boxes, host, ready=2) as pool:
        await pool.filled(5)
        host.has(available_bytes=0)
        await (await pool.lease()).close(remove=True)
        with pytest.raises(Timeout, match=r"filling of the pool took longer than 0\.05 s") as late:
            await pool.filled(0.05)
        assert "of memory" in late.value.hint


async def test_what_was_leased_does_its_first_work_before_another_is_made(boxes: Boxes, host: Host) -> None:
    async with pool_of(boxes, host, ready=2) as pool:
        await pool.filled(5)
        await pool.lease()
        await asyncio.sleep(0.03)
        assert boxes.begun == 2
        await pool.filled(5)


async def test_leases_one_after_the_other_do_not_put_off_the_making_of_more(boxes: Boxes, host: Host) -> None:
    async with pool_of(boxes, host, ready=4, when_empty="refuse") as pool:
        await pool.filled(5)
        for _ in range(4):
            await pool.lease()
            await asyncio.sleep(0.04)
        assert boxes.begun > 4


# --- all of it at once -------------------------------------------------------------------------------------


@pytest.mark.parametrize("when_empty", ["start", "wait", "refuse"])
@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_nobody_shares_a_machine_and_nothing_is_left(
    boxes: Boxes, host: Host, seed: int, when_empty: str
) -> None:
    chance = random.Random(seed)
    numbers = count()
    boxes.at_start = lambda box: box.die() if chance.random() < 0.05 else None

    async def lessee(pool: Pool[Box]) -> None:
        try:
            box = await pool.lease(chance.choice([0.001, 0.01, 1]))
        except FirkinError:
            return
        assert not box.asleep
        box.leases += 1
        await asyncio.sleep(chance.random() * 0.01)
        with suppress(WrongState):
            await box.exec(ExecOptions(command=(f"work {next(numbers)}",)))
        if chance.random() < 0.8:
            await box.close(remove=True)

    async with pool_of(boxes, host, ready=3, most=8, at_once=2, when_empty=when_empty) as pool:
        tasks = []
        for _ in range(150):
            tasks.append(asyncio.create_task(lessee(pool)))
            await asyncio.sleep(chance.random() * 0.004)
            stats = pool.stats
            assert stats.ready + stats.filling + stats.leased + stats.ending <= 8
            if chance.random() < 0.1:
                chance.choice(tasks).cancel()
            if chance.random() < 0.1 and boxes.made:
                chance.choice(boxes.made).die()
            if chance.random() < 0.1:
                host.has(available_bytes=chance.choice([0, 2, 12]) * GIB)
            if chance.random() < 0.05:
                boxes.errors.append(FirkinError("a fault"))
        host.has(available_bytes=12 * GIB)
        await asyncio.wait(tasks, timeout=5)
        assert all(task.done() for task in tasks)
        assert [task for task in tasks if not task.cancelled() and task.exception()] == []
    assert [box.number for box in boxes.made if box.leases > 1] == []
    assert [box.number for box in boxes.made if len(box.ran) > 2] == []
