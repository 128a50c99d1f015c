"""One call of a verb that needs the engine: an event loop, an Engine in it, and what signals mean meanwhile.

Ctrl-C, SIGTERM, SIGHUP and SIGQUIT cancel the work, which cleans up on its way out; the exit status is then
128 + the signal. While a process of ours is in the foreground, `Session.signals_to` hands them to it instead.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from firkin.engine.container import Container
    from firkin.engine.engine import Engine
    from firkin.settings import Settings

T = TypeVar("T")

DEADLY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2)


class Session:
    """The Engine of one call, and the receiver of its signals."""

    def __init__(self, engine: Engine, cancel: Callable[[int], None]) -> None:
        self.engine = engine
        self._receive = cancel

    def listen(self) -> None:
        """Take the deadly signals from now on, for as long as the event loop runs."""
        import asyncio

        for number in DEADLY:
            asyncio.get_running_loop().add_signal_handler(number, self._received, number)

    def _received(self, number: int) -> None:
        self._receive(number)

    @contextmanager
    def signals_to(self, receive: Callable[[int], None]) -> Iterator[None]:
        """Give the signals, PASSED_ON among them, to `receive` while the block runs."""
        import asyncio

        loop = asyncio.get_running_loop()
        before, self._receive = self._receive, receive
        for number in PASSED_ON:
            loop.add_signal_handler(number, self._received, number)
        try:
            yield
        finally:
            self._receive = before
            for number in PASSED_ON:
                loop.remove_signal_handler(number)


def with_session(body: Callable[[Session], Awaitable[T]], settings: Settings | None = None) -> T:
    """What `body` returns. Raises SystemExit(128 + n) after signal n, once everything is cleaned up."""
    import asyncio

    from firkin.engine.engine import Engine

    caught: list[int] = []

    async def run() -> T:
        task = asyncio.current_task()
        assert task is not None  # asyncio.run made it

        def cancel(number: int) -> None:
            caught.append(number)
            task.cancel()

        async with Engine(settings) as engine:
            session = Session(engine, cancel)
            session.listen()
            return await body(session)

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        if caught:
            raise SystemExit(128 + caught[0]) from None
        raise


def with_engine(body: Callable[[Engine], Awaitable[T]]) -> T:
    """`with_session` for a body that leaves the signals alone."""
    return with_session(lambda session: body(session.engine))


def for_each_container(names: Iterable[str], action: Callable[[Container], Awaitable[object]]) -> int:
    """Do `action` for every named container, and print the names of those that it worked for; see `each`."""

    async def all_of_them(engine: Engine) -> int:
        async def one(name: str) -> str:
            await action(await engine.container(name))
            return name

        return await each(names, one)

    return with_engine(all_of_them)


async def each(names: Iterable[str], action: Callable[[str], Awaitable[str]]) -> int:
    """Do `action` for every name; print what it returns, report what it raises.

    The result is the exit status, that of the last failure: one bad name keeps no other from being served.
    """
    from firkin.cli.report import report
    from firkin.errors import FirkinError

    status = 0
    for name in names:
        try:
            line = await action(name)
        except FirkinError as error:
            status = report(error)
        else:
            print(line, flush=True)
    return status
