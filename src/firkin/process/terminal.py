"""The caller's own terminal: its size, its changes, and raw mode for as long as a process inside owns it."""

from __future__ import annotations

import asyncio
import os
import signal
import termios
import tty
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from firkin.process.spec import TerminalSize


def size(fd: int) -> TerminalSize | None:
    """The size of the terminal behind `fd`; None where there is none, or it does not know."""
    try:
        cols, rows = os.get_terminal_size(fd)
    except OSError:
        return None
    return TerminalSize(rows, cols) if rows and cols else None


@contextmanager
def raw(fd: int) -> Iterator[None]:
    """Pass every key through unseen while the block runs; what was typed ahead is kept, termios(3)."""
    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextmanager
def resizes(fd: int, resize: Callable[[int, int], Awaitable[None]]) -> Iterator[None]:
    """Call `resize` with the size of the terminal behind `fd`, now and at each change, while the block runs.

    Its errors are dropped: a process that ended meanwhile needs no size.
    """
    changed = asyncio.Event()
    changed.set()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    following = asyncio.create_task(_follow(fd, changed, resize))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
        following.cancel()


async def _follow(fd: int, changed: asyncio.Event, resize: Callable[[int, int], Awaitable[None]]) -> None:
    while True:
        await changed.wait()
        changed.clear()
        if now := size(fd):
            try:
                await resize(now.rows, now.cols)
            except Exception:  # whoever waits for the process sees why it is gone
                return
