"""A process known by its pidfd: waiting for it, and the ladder that ends it.

The rule: whoever holds a Child may wait and stop at any time and as often as they like; the pidfd makes a
signal to somebody else's recycled pid impossible.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence

import msgspec

from firkin.errors import Timeout


class Rung(msgspec.Struct, frozen=True):
    """Send `signal`, then give `patience_s` seconds before the next rung."""

    signal: int
    patience_s: float


STOP = (Rung(signal.SIGTERM, 2.0), Rung(signal.SIGKILL, 10.0))
KILL = (Rung(signal.SIGKILL, 10.0),)


class Child:
    """A running or ended process. `status` is None while it runs, then as os.waitstatus_to_exitcode: -N by
    signal N.

    Where the process is not our child (`ours=False`: somebody else started it), its status cannot be had and
    is 0.
    """

    def __init__(self, pid: int, pidfd: int, *, ours: bool = True) -> None:
        self.pid = pid
        self.status: int | None = None
        self._pidfd: int | None = pidfd
        self._ours = ours
        self._ended: asyncio.Future[None] | None = None

    @classmethod
    def adopt(cls, pid: int) -> Child:
        """A process that somebody else started. Raises ProcessLookupError when it is gone."""
        return cls(pid, os.pidfd_open(pid), ours=False)

    def close(self) -> None:
        """Let go of a process that nobody here will wait for (any more)."""
        if self._pidfd is not None and self._ended is None:
            os.close(self._pidfd)
            self._pidfd = None

    def abort(self) -> None:
        """Kill and reap it at once, without an event loop: for what failed before anybody else knew of it."""
        self.send(signal.SIGKILL)
        if self.status is None and self._pidfd is not None:
            self._reap(self._pidfd)

    def send(self, number: int) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self.status is None and self._pidfd is not None:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                pass

    async def wait(self) -> int:
        """Its status, once it has ended and, if it is ours, is reaped."""
        if self.status is None:
            if self._ended is None or self._ended.cancelled():
                self._ended = self._watch()
            await asyncio.shield(self._ended)
        assert self.status is not None
        return self.status

    async def stop(self, ladder: Sequence[Rung] = STOP) -> int:
        """End it by `ladder`, for sure: its status. Legal in every state; may be cancelled and called again.

        Raises Timeout when it outlived the last rung (a process stuck in the kernel).
        """
        for rung in ladder:
            self.send(rung.signal)
            try:
                return await asyncio.wait_for(self.wait(), rung.patience_s)
            except TimeoutError:
                continue
        raise Timeout(
            f"process {self.pid} did not end {ladder[-1].patience_s:g} s after signal {ladder[-1].signal}",
            hint="look at its state with ps; a process in state D waits for the kernel",
        )

    def _watch(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        pidfd = self._pidfd
        assert pidfd is not None

        def on_end() -> None:
            loop.remove_reader(pidfd)
            self._reap(pidfd)
            if not ended.done():
                ended.set_result(None)

        loop.add_reader(pidfd, on_end)
        return ended

    def _reap(self, pidfd: int) -> None:
        """Take the exit status. Only here is the pidfd closed: after the process has ended."""
        if not self._ours:
            self.status = 0
        elif self.status is None:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
        os.close(pidfd)
        self._pidfd = None

    def poll(self) -> int | None:
        """`status`, looked up without waiting: for whoever has no event loop (any more)."""
        if self.status is None and self._pidfd is not None and self._ours:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status
