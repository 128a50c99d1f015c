"""Member: one machine of a pool, from its making to its end.

    filling ──► idle ──► leased ──► gone
       │  └────────────────▲ │       ▲
       └─────────────────────┴───────┘     (from each state)

The rule: no arrow leads back. What was leased once ends with that lease.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Generic, Literal, Protocol, TypeVar

from firkin.engine.deadline import within
from firkin.engine.options import ExecOptions
from firkin.errors import (
    AgentError,
    CommandFailed,
    CommandNotExecutable,
    CommandNotFound,
    FirkinError,
    MachineDied,
    OutcomeUnknown,
    WrongState,
)
from firkin.process.output import output
from firkin.process.protocol import Process
from firkin.process.spec import ExitStatus

MemberState = Literal["filling", "idle", "leased", "gone"]
_WAYS: dict[MemberState, tuple[MemberState, ...]] = {
    "filling": ("idle", "leased", "gone"),
    "idle": ("leased", "gone"),
    "leased": ("gone",),
    "gone": (),
}
WAKE_PATIENCE_S = 5.0
_ENDING_S = 10.0
"""How long a machine whose process has ended may take to be gone, so that the end is what is told."""
NOTHING = ("true",)
"""What a new machine does once before it is paused, so that the first command of a lease is not its first."""


class Pausable(Protocol):
    """What a pool needs of a container, which an OwnedContainer has."""

    @property
    def id(self) -> str: ...

    async def exec(self, options: ExecOptions) -> Process: ...

    async def rest(self) -> None: ...

    async def wake(self) -> None: ...

    async def close(self, *, remove: bool = False) -> None: ...

    async def finished(self) -> None: ...

    async def wait(self) -> ExitStatus: ...


C = TypeVar("C", bound=Pausable)
C_co = TypeVar("C_co", bound=Pausable, covariant=True)


class Source(Protocol[C_co]):
    """Where the machines of a pool come from."""

    @property
    def each_bytes(self) -> int:
        """The memory that one is expected to take."""

    async def start(self) -> C_co:
        """One more, running. When this raises, nothing is left of it."""

    def close(self) -> None:
        """No more are started, and none runs."""


class Member(Generic[C]):
    """One machine of a pool. `state` changes by move() only, at `since_ns` (time.monotonic_ns())."""

    def __init__(self) -> None:
        self.state: MemberState = "filling"
        self.since_ns = time.monotonic_ns()
        self.paused = False
        self._container: C | None = None

    @property
    def container(self) -> C:
        """It, once start() has returned."""
        assert self._container is not None
        return self._container

    def move(self, state: MemberState) -> None:
        """Raises WrongState where no arrow leads there, which is a fault of ours."""
        if state not in _WAYS[self.state]:
            raise WrongState(f"a machine of a pool cannot become {state} when it is {self.state}")
        self.state, self.since_ns = state, time.monotonic_ns()

    async def start(self, source: Source[C], warm: Sequence[str] | None) -> None:
        """Start it, and let `warm` run in it. Raises what both raise, CommandFailed where that does not end
        with 0, WrongState where its first process does not stay for it.
        """
        self._container = await source.start()
        if warm is not None:
            status = await self._run(warm)
            if not status.ok:
                raise CommandFailed(
                    f"{' '.join(warm)!r}, which is to make a machine of the pool warm, ended with {status}",
                    hint="try it with firkin exec",
                    output=None,
                    exit_status=status.status,
                )

    async def rest(self, *, warmed: bool) -> None:
        """Let it stand still from now on. One that is not `warmed` does nothing once, before.

        Raises WrongState where its first process does not stay, MachineDied, Timeout.
        """
        if not warmed:
            try:
                await self._run(NOTHING)
            except (CommandNotFound, CommandNotExecutable):
                pass  # the image has no such program; it is warmer all the same
        try:
            await self.container.rest()
        except (WrongState, MachineDied) as error:
            raise await self._end_of_its_process() or error from error
        self.paused = True

    async def wake(self) -> None:
        """Let it go on where it stands still. Raises Timeout, and what waking a dead one raises."""
        if self.paused:
            async with within(WAKE_PATIENCE_S, "the waking of a machine of the pool"):
                await self.container.wake()
            self.paused = False

    async def gone(self) -> None:
        """Wait until nothing of it is left."""
        await self.container.finished()

    async def end(self) -> None:
        """End it, whatever it does; gone when this returns."""
        if self._container is not None:
            await self._container.close(remove=True)
            await self._container.finished()

    async def _run(self, command: Sequence[str]) -> ExitStatus:
        """How `command` ended in it. Raises WrongState where its first process ended, and took that along."""
        try:
            status = (await output(await self.container.exec(ExecOptions(command=tuple(command))))).status
        except (WrongState, AgentError, MachineDied, OutcomeUnknown) as error:
            raise await self._end_of_its_process() or error from error
        if status.signal is not None and (ended := await self._end_of_its_process()) is not None:
            raise ended
        return status

    async def _end_of_its_process(self) -> FirkinError | None:
        """What to raise where that is why something went wrong."""
        try:
            async with asyncio.timeout(_ENDING_S):
                status = await self.container.wait()
        except TimeoutError:
            return None
        except FirkinError as death:
            return death
        return WrongState(
            f"the first process of a machine of the pool ended with {status} before it could be leased",
            hint='give one that stays, such as ["sleep", "infinity"]',
        )
