"""Pool: machines that were made ready beforehand, leased one by one.

    lease()      the idle one that was ready last wakes; where there is none, the next one, in turn
    the keeper   one task: it looks at the host, begins what is missing, ends the idle that have to go

The rule: pressure stops what is made for stock, then ends the idle, and never what was leased; what was
leased once ends with that lease.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Generic, Literal

from firkin.engine.deadline import within
from firkin.errors import FirkinError, PoolEmpty, Timeout, WrongState
from firkin.events import event
from firkin.pool.bounds import Bounds, Facts, plan, require_room
from firkin.pool.lives import Lives
from firkin.pool.member import C, Member, Source
from firkin.pool.stats import PoolStats, Tally

WhenEmpty = Literal["start", "wait", "refuse"]

TICK_S = 1.0
"""How often the host is looked at where nothing else happens."""


class Pool(Generic[C]):
    """An async context manager: entering it begins to fill it, leaving it ends all that it made.

    `warm` is run once in each machine before anybody gets it. When none is ready, a lease gets one that is
    started for it ("start"), waits for its turn with those made one after the other ("wait"), or raises
    PoolEmpty ("refuse"). `facts` tells what the host has.
    """

    def __init__(
        self,
        source: Source[C],
        bounds: Bounds,
        facts: Callable[[], Facts],
        *,
        warm: Sequence[str] | None = None,
        when_empty: WhenEmpty = "start",
    ) -> None:
        self._source = source
        self._bounds = bounds
        self._facts = facts
        self._when_empty = when_empty
        self._tally = Tally()
        self._lives = Lives(source, warm, self._tally, self._note)
        self._pressure = ""
        self._urging = 0
        """How many calls of filled() wait."""
        self._evict_at = 0.0
        """Not before this time.monotonic(), so that what went is seen in what the host has."""
        self._open = False
        self._changed = asyncio.Event()
        self._news = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Pool[C]:
        if self._keeper is not None:
            raise WrongState("a pool is opened once", hint="make another one")
        self._open = True
        self._keeper = asyncio.create_task(self._keep(), name="pool")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all of its machines, leased ones too, and the wait of whoever waits. May be called twice."""
        self._dismiss()
        if self._keeper is not None:
            await asyncio.wait((self._keeper,))

    async def lease(self, timeout_s: float | None = None) -> C:
        """A running machine that nobody had before: the caller's until it is closed or removed.

        Raises Timeout, PoolEmpty, MemoryFull where one would have to be started and has no room, WrongState
        once the pool is closed, and what kept the one from starting that was made for this call.
        """
        begin = time.monotonic()
        self._require_open()
        if hit := bool(self._lives.idle):
            self._tally.hits += 1
        else:
            self._tally.misses += 1
            self._require_hope()
        async with within(timeout_s, "the lease of a machine of the pool"):
            member = await self._awake()
        took_s = time.monotonic() - begin
        self._tally.leased(took_s)
        try:
            event("pool.leased", container=member.container.id, hit=hit, took_s=took_s)
        except BaseException:
            self._lives.end(member)
            raise
        return member.container

    async def filled(self, timeout_s: float | None = None) -> None:
        """Wait until as many are ready as are to be, which are made whatever the load is.

        Raises Timeout, WrongState once it is closed, and what keeps one from being made meanwhile.
        """
        failures = self._tally.failures
        self._urging += 1
        self._note()
        try:
            async with within(timeout_s, "the filling of the pool"):
                while len(self._lives.idle) < self._bounds.ready:
                    self._require_open()
                    if self._tally.failures > failures and self._tally.failure is not None:
                        raise self._tally.failure
                    await self._news.wait()
        except Timeout as error:
            error.hint = self._pressure
            raise
        finally:
            self._urging -= 1

    @property
    def stats(self) -> PoolStats:
        """As it is now."""
        return self._tally.stats(self._lives.counts(), self._pressure)

    def _require_open(self) -> None:
        if not self._open:
            raise WrongState("the pool is not open", hint="use it as an async context manager")

    def _require_hope(self) -> None:
        """Refuse at once a lease that would wait, where its caller wants none to."""
        counts = self._lives.counts()
        if self._when_empty == "refuse":
            raise PoolEmpty(
                f"no machine of the pool is ready: {counts.leased} are leased, {counts.filling} being made",
                hint='keep more ready, or make the pool with when_empty="wait"',
            )
        if self._when_empty == "start" and not counts.full(self._bounds):
            require_room(self._bounds, counts, self._facts(), self._source.each_bytes)

    async def _awake(self) -> Member[C]:
        """A member that is the caller's and runs. One that does not wake costs its lessee no turn."""
        again = False
        while True:
            member = self._lives.newest() if self._lives.idle else await self._turn(first=again)
            try:
                await member.wake()
                return member
            except FirkinError as error:
                self._lives.end(member)
                self._lives.died(error)
            except BaseException:
                self._lives.end(member)
                raise
            again = True

    async def _turn(self, *, first: bool) -> Member[C]:
        self._require_open()
        self._note()
        return await self._lives.turns.wait(first=first, unwanted=self._lives.end)

    # The keeper

    async def _keep(self) -> None:
        try:
            async with asyncio.TaskGroup() as parent:
                while self._open:
                    self._changed.clear()
                    patience_s = self._step(parent)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(patience_s):
                            await self._changed.wait()
                self._dismiss()
        finally:
            self._dismiss()
            self._source.close()

    def _step(self, parent: asyncio.TaskGroup) -> float:
        """Begin and end what is to be now. For how long that may hold, in seconds."""
        now = time.monotonic()
        rest_s = self._lives.pace.rest_s(now)
        try:
            facts = self._facts()
        except FirkinError as error:
            self._lives.failed(error)
            return TICK_S
        planned = plan(
            self._bounds,
            self._lives.counts(),
            facts,
            self._source.each_bytes,
            stocking=rest_s == 0,
            eager=self._when_empty == "start",
            urged=self._urging > 0,
        )
        self._press(planned.pressure)
        if planned.evict and now >= self._evict_at:
            self._evict_at = now + TICK_S
            for member in self._lives.idle[: planned.evict]:
                self._evict(member)
        for _ in range(planned.fill):
            self._lives.begin(parent)
        return min(TICK_S, rest_s or TICK_S)

    def _press(self, reason: str) -> None:
        told, self._pressure = self._pressure, reason
        if reason != told:
            with suppress(Exception):  # a subscriber's, which must not end the pool
                event("pool.pressure", reason=reason)

    def _evict(self, member: Member[C]) -> None:
        self._tally.evicted += 1
        self._lives.end(member)
        with suppress(Exception):  # a subscriber's, which must not end the pool
            event("pool.evicted", container=member.container.id, reason=self._pressure)

    def _dismiss(self) -> None:
        """It is closed: what it has ends, and so does the wait of whoever waits."""
        self._open = False
        while self._lives.turns.fail(WrongState("the pool was closed", hint="lease before that")):
            pass
        self._lives.end_all()
        self._note()

    def _note(self) -> None:
        """Something has changed: the keeper looks again, and whoever waits for news has some."""
        self._changed.set()
        self._news.set()
        self._news = asyncio.Event()
