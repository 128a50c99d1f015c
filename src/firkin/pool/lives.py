"""Lives: the machines that a pool has, each one a task that makes it, offers it, and ends it.

The rule: whatever ends a machine of the pool (its lessee, its own death, pressure, the pool's end, a
cancellation at any moment) ends its life, and a life leaves nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic

from firkin.errors import FirkinError, WrongState
from firkin.events import event
from firkin.pool.bounds import Counts
from firkin.pool.member import C, Member, Source
from firkin.pool.pace import Pace
from firkin.pool.stats import Tally
from firkin.pool.turns import Turns


class Lives(Generic[C]):
    """Whoever waits for a machine does so in `turns`. `tally` and `pace` hear how it goes, and `note` is
    called when something has changed.
    """

    def __init__(
        self, source: Source[C], warm: Sequence[str] | None, tally: Tally, note: Callable[[], None]
    ) -> None:
        self.turns = Turns[Member[C]]()
        self.pace = Pace()
        self._source = source
        self._warm = warm
        self._tally = tally
        self._note = note
        self._tasks: dict[Member[C], asyncio.Task[None]] = {}
        self._idle: list[Member[C]] = []

    @property
    def idle(self) -> Sequence[Member[C]]:
        """Those that anybody may have, the one that is so for longest first."""
        return self._idle

    def counts(self) -> Counts:
        """What there is now."""
        states = [member.state for member in self._tasks]
        return Counts(
            idle=states.count("idle"),
            filling=states.count("filling"),
            leased=states.count("leased"),
            ending=states.count("gone"),
            waiting=len(self.turns),
        )

    def begin(self, parent: asyncio.TaskGroup) -> None:
        """Make one more, in a task of `parent`."""
        member = Member[C]()
        self.pace.begun()
        life = self._tasks[member] = parent.create_task(self._live(member))
        life.add_done_callback(lambda _: self._over(member))

    def newest(self) -> Member[C]:
        """The idle one whose memory was used last. It is the caller's."""
        member = self._idle.pop()
        member.move("leased")
        self.pace.leased(time.monotonic())
        self._note()
        return member

    def end(self, member: Member[C]) -> None:
        """Have it ended; nobody gets it any more. Nothing happens to one that ends already."""
        if member.state != "gone":
            self._retire(member)
            self._tasks[member].cancel()

    def end_all(self) -> None:
        for member in tuple(self._tasks):
            self.end(member)

    def died(self, error: FirkinError) -> None:
        """One has ended that should not have."""
        self._tally.died += 1
        self._slow_down(error)

    def failed(self, error: Exception) -> None:
        """One could not be made: that is one failure, told to one lessee."""
        self._tally.failures += 1
        self._slow_down(error)
        self.turns.fail(error)
        with suppress(Exception):  # a subscriber's; the failure itself is told already
            event("pool.failed", error=error)

    async def _live(self, member: Member[C]) -> None:
        """The whole life of `member`. Raises nothing but a cancellation."""
        try:
            await self._make(member)
            await member.gone()
            if member.state == "idle":
                self.died(WrongState(f"container {member.container.id[:12]} ended while it was idle"))
                event("pool.died", container=member.container.id)
        except Exception as error:  # told by stats, and to who waits for it
            self.failed(error)
        finally:
            self._retire(member)
            try:
                await member.end()
            except FirkinError as error:  # a VMM that even SIGKILL does not end
                self._tally.failed(error)

    async def _make(self, member: Member[C]) -> None:
        """Start it, and give it to who waits, or let it stand still until somebody comes."""
        begin = time.monotonic()
        await member.start(self._source, self._warm)
        while not (self.turns or member.paused):
            await member.rest(warmed=self._warm is not None)
        event("pool.filled", container=member.container.id, took_s=time.monotonic() - begin)
        self.pace.made()
        self._tally.made()
        if self.turns:
            member.move("leased")
            self.turns.give(member)
        else:
            member.move("idle")
            self._idle.append(member)
        self._note()

    def _retire(self, member: Member[C]) -> None:
        """Nobody gets it any more."""
        if member in self._idle:
            self._idle.remove(member)
        if member.state != "gone":
            member.move("gone")
        self._note()

    def _over(self, member: Member[C]) -> None:
        del self._tasks[member]
        self._note()

    def _slow_down(self, error: Exception) -> None:
        self._tally.failed(error)
        self.pace.failed(time.monotonic())
        self._note()
