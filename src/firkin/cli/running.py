"""What `firkin run` does once its words are understood: a container in the background, or in the foreground.

A container in the foreground belongs to this command and ends with it. One at a terminal (-it) may be left
with the detach keys, and one with --restart goes on afterwards: those belong to the supervisor from their
start, and this command is attached to them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from firkin.cli.notices import notices
from firkin.cli.progress import progress
from firkin.cli.session import Session, with_session
from firkin.container.pod import Member
from firkin.engine.begin import begin
from firkin.errors import ContainerNotFound
from firkin.settings import Settings

if TYPE_CHECKING:
    from firkin.cli.wiring import Wiring
    from firkin.engine.container import Container
    from firkin.engine.options import RunOptions


class Showing(msgspec.Struct, frozen=True):
    """What is shown of a run beside its output."""

    quiet: bool = False
    timing: bool = False
    trace: str = ""


def run_in_background(options: RunOptions, showing: Showing) -> int:
    """`run -d`: print the id of a container that the supervisor owns."""

    async def run(session: Session) -> int:
        with _shown(showing):
            container = await session.engine.run_detached(options)
        print(container.id, flush=True)
        return 0

    with _recorded(showing):
        return with_session(run)


def create(options: RunOptions, showing: Showing) -> int:
    """`create`: print the id of a container that nobody has started."""

    async def made(session: Session) -> int:
        with _shown(showing):
            container = await session.engine.create(options)
        print(container.id, flush=True)
        return 0

    return with_session(made)


def run_in_foreground(options: RunOptions, wiring: Wiring, showing: Showing) -> int:
    """`run`: the exit status of the container's process, once it has ended or was left."""
    recorded = showing.timing or bool(showing.trace)
    kept = options.restart.wanted  # by the supervisor, which is there to start it again
    leavable = wiring.terminal and wiring.stdin and bool(wiring.detach_keys) and not recorded
    with _recorded(showing):
        if isinstance(options.pod, Member):
            return _run_in_pod(options, wiring, showing, leavable=leavable)
        if not (leavable or kept):
            return _run_as_ours(options, wiring, showing)

        async def run(session: Session) -> int:
            with _shown(showing):
                container = await session.engine.run_detached(options)
            return await _in_foreground(session, container, wiring)

        return with_session(run)


def _run_in_pod(options: RunOptions, wiring: Wiring, showing: Showing, *, leavable: bool) -> int:
    """Run a container that its pod's owner owns. With --rm it goes with us, unless we may leave it."""

    async def run(session: Session) -> int:
        engine, ours = session.engine, options.auto_remove and not leavable
        async with AsyncExitStack() as stack:
            with _shown(showing):
                if not ours:
                    return await _in_foreground(session, await engine.run_detached(options), wiring)
                container = await stack.enter_async_context(engine.run_tied(options))
            return await _in_foreground(session, container, wiring)

    return with_session(run)


def _run_as_ours(options: RunOptions, wiring: Wiring, showing: Showing) -> int:
    """Run a container that this process owns. Its VMM is started first; all else is loaded meanwhile."""
    settings = Settings.load()
    with _shown(showing):
        begun = begin(options, settings)

    async def run(session: Session) -> int:
        nonlocal begun
        ours, begun = begun, None
        with _shown(showing):
            container = await session.engine.run(options, begun=ours, meanwhile=_load_foreground)
        return await _in_foreground(session, container, wiring)

    try:
        return with_session(run, settings)
    finally:
        if begun is not None:
            begun.abort()


def _load_foreground() -> None:
    """Load what connects a process to this terminal."""
    from firkin.cli import foreground

    assert foreground


@contextmanager
def _shown(showing: Showing) -> Iterator[None]:
    """Show how far the block is, and what there is to say of machines, while it lasts."""
    with progress(quiet=showing.quiet), notices(quiet=showing.quiet):
        yield


async def _in_foreground(session: Session, container: Container, wiring: Wiring) -> int:
    from firkin.cli.foreground import Ladder, foreground

    process = await container.attach(stdin=wiring.stdin, replay=True)

    async def end() -> None:
        await container.stop(0)

    gc.freeze()  # what is loaded stays, so the collector need not look at it ever again
    gc.enable()  # main turned it off for the start; from here on it may be days
    ladder = Ladder(f"container {container.name}", end, container.spec.stop_timeout_s)
    status = await foreground(session, process, wiring, ladder)
    if status is None:
        return 0
    with suppress(ContainerNotFound):  # --rm: it is gone already
        await container.wait()
    return status


@contextmanager
def _recorded(showing: Showing) -> Iterator[None]:
    """Record the events of the block, and show them as asked when it is over, however it ended."""
    if not (showing.timing or showing.trace):
        yield
        return
    from firkin.cli.main import STARTED_CPU_NS, STARTED_NS
    from firkin.cli.spans import Recorder
    from firkin.cli.timing import print_timeline
    from firkin.cli.trace import write_trace
    from firkin.events import subscribed

    recorder = Recorder.of_this_process(STARTED_NS, STARTED_CPU_NS)
    try:
        with subscribed(recorder):
            yield
    finally:
        if showing.timing:
            print_timeline(recorder)
        if showing.trace:
            write_trace(showing.trace, recorder.events, recorder.start_ns)
