"""A process in the foreground: this command's streams, terminal and signals are its own while it runs.

Signals are passed on. A deadly one (INT, TERM, HUP, QUIT) begins a ladder, because the first process of a
container never sees a signal that it has no handler for: at a second deadly signal, or when the ladder's
patience is over, we give up on the process, which ends it or leaves it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from firkin.cli.detach import DetachKeys
from firkin.cli.report import say
from firkin.cli.session import DEADLY, Session
from firkin.cli.wiring import Wiring
from firkin.errors import FirkinError
from firkin.process import terminal
from firkin.process.protocol import Process
from firkin.process.spec import TerminalSize
from firkin.process.stdio import Outcome, connect

_BROKEN_PIPE = 141
_NOTICE_S = 1.0


@dataclass(frozen=True, slots=True)
class Ladder:
    """What a deadly signal comes to, beyond being passed on."""

    what: str
    """What does not end, for the notice."""
    end: Callable[[], Awaitable[None]] | None
    """Ends the process for certain; None leaves it."""
    patience_s: float | None
    """How long it has; None: until the second signal."""


async def foreground(session: Session, process: Process, wiring: Wiring, ladder: Ladder) -> int | None:
    """The exit status once `process` has ended or was given up on; None when the detach keys were typed.

    Raises FirkinError, as MachineDied.
    """
    connecting = asyncio.create_task(_connected(process, wiring))
    raw = wiring.terminal and wiring.stdin
    proxy = Proxy(process, ladder, leave=connecting.cancel, raw=raw)
    with ExitStack() as stack:
        if wiring.terminal:
            _own_terminal(stack, process, raw=raw)
        if wiring.sig_proxy:
            stack.enter_context(session.signals_to(proxy.receive))
        stack.callback(proxy.close)
        try:
            outcome = await connecting
        except asyncio.CancelledError:
            if proxy.left:
                return proxy.status(0)
            raise
        if outcome is Outcome.ENDED:
            status = await process.wait()
            if status.why == "oom":
                say(f"{ladder.what} ran out of memory", hint="give it more: run -m 512m", raw=raw)
            return proxy.status(status.status)
    return await _left(outcome, ladder)


def terminal_size() -> TerminalSize:
    """The size of the terminal that this command stands on, or a usual one."""
    return terminal.size(0) or terminal.size(1) or TerminalSize()


async def _connected(process: Process, wiring: Wiring) -> Outcome:
    typed = DetachKeys(wiring.detach_keys).feed if wiring.terminal and wiring.stdin else None
    return await connect(process, stdin_fd=0 if wiring.stdin else None, typed=typed)


async def _left(outcome: Outcome, ladder: Ladder) -> int | None:
    if outcome is Outcome.DETACHED:
        say(f"left {ladder.what} running")
        return None
    if ladder.end is not None:
        await ladder.end()
    return _BROKEN_PIPE


def _own_terminal(stack: ExitStack, process: Process, *, raw: bool) -> None:
    fd = next((fd for fd in (0, 1) if os.isatty(fd)), None)
    if fd is None:
        return
    if raw:
        stack.enter_context(terminal.raw(fd))
    stack.enter_context(terminal.resizes(fd, process.resize))


class Proxy:
    """Passes signals on to a process, and gives up on one that a deadly signal did not end."""

    def __init__(self, process: Process, ladder: Ladder, leave: Callable[[], object], *, raw: bool) -> None:
        self.left = False
        self._process = process
        self._ladder = ladder
        self._leave = leave
        self._raw = raw
        self._deadly = 0
        self._gave_up = False
        self._tasks: set[asyncio.Task[None]] = set()

    def receive(self, number: int) -> None:
        """A signal came to us."""
        if number in DEADLY and self._deadly:
            self._start(self._give_up())
            return
        self._start(self._pass_on(number))
        if number in DEADLY:
            self._deadly = number
            self._start(self._climb())

    def status(self, status: int) -> int:
        """The exit status for a process that ended with `status`: who was given up on was interrupted."""
        return 128 + self._deadly if self._gave_up else status

    def close(self) -> None:
        """Pass on nothing more."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, number: int) -> None:
        try:
            await self._process.signal(number)
        except FirkinError:
            return  # it has ended; whoever waits for it learns how

    async def _climb(self) -> None:
        patience_s = self._ladder.patience_s
        await asyncio.sleep(_NOTICE_S if patience_s is None else min(_NOTICE_S, patience_s))
        again = "the same signal again" if self._raw else "Ctrl-C once more"
        then = "leaves it running" if self._ladder.end is None else "ends it at once"
        say(f"{self._ladder.what} has not ended yet", hint=f"{again} {then}", raw=self._raw)
        if patience_s is not None:
            await asyncio.sleep(patience_s - _NOTICE_S)
            await self._give_up()

    async def _give_up(self) -> None:
        if self._gave_up:
            return
        self._gave_up = True
        if self._ladder.end is not None:
            await self._ladder.end()
        else:
            self.left = True
            self._leave()
