"""A running namespace: its PID 1 as a process, and its agent's socket. It has the shape of a Machine."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from firkin.aio.child import KILL, Child
from firkin.errors import BootFailed, FirkinError, HostUnsupported, MachineDied, Timeout
from firkin.events import stage
from firkin.faults.kernel import CGROUPS_UNDELEGATED
from firkin.linux import unix_socket
from firkin.linux.cgroup.group import Group
from firkin.machine.namespace.failure import failure
from firkin.machine.namespace.launch import StartedNamespace
from firkin.machine.qemu.exit import VmmExit
from firkin.machine.qemu.files import AGENT_SOCKET
from firkin.machine.spec import PublishedPort

T = TypeVar("T")

_DYING_S = 1.0
_FREEZING_S = 10.0
_LOOK_EVERY_S = 0.001
_REPORT_BYTES = 512


class Namespace:
    """One namespace, of which it is the owner from now on. Needs a running event loop.

    `pid` is its PID 1's. What ends that ends everything in it, by the kernel's hand. `group` is where its
    container's processes are; None: nowhere of their own.
    """

    accelerator = ""
    forked = False
    cards = 0

    def __init__(
        self,
        name: str,
        first: Child,
        run_dir: Path,
        *,
        ports: tuple[PublishedPort, ...] = (),
        started: StartedNamespace | None = None,
        group: Group | None = None,
    ) -> None:
        self.name = name
        self.pid = first.pid
        self.ports = ports
        self.run_dir = run_dir
        self.group = group
        self.ended: VmmExit | None = None
        self._first = first
        self._started = started
        self._launcher = None if started is None else Child(started.launcher, started.launcher_fd)

    @classmethod
    def of(cls, started: StartedNamespace) -> Namespace:
        """Take over a namespace of this process's."""
        first = Child(started.pid, started.pidfd, ours=False)
        ports, group = started.ports, started.group
        return cls(started.name, first, started.run_dir, ports=ports, started=started, group=group)

    @classmethod
    def adopt(
        cls,
        name: str,
        *,
        pid: int,
        ports: tuple[PublishedPort, ...],
        run_dir: Path,
        group: Group | None = None,
    ) -> Namespace:
        """The namespace that a dead owner left. Raises MachineDied where it is gone."""
        try:
            return cls(name, Child.adopt(pid), run_dir, ports=ports, group=group)
        except ProcessLookupError as error:
            raise MachineDied(f"the namespace of {name!r} is gone", hint="`firkin rm` tidies") from error

    def open_agent(self) -> socket.socket:
        """A connection to the agent, non-blocking; the caller owns it. The newest is the one that it heeds.

        Raises MachineDied.
        """
        try:
            sock = unix_socket.connect(self.run_dir / AGENT_SOCKET)
        except OSError as error:
            raise MachineDied(
                f"cannot reach the agent of {self.name!r}: {error.strerror}", hint="it is gone"
            ) from error
        sock.setblocking(False)
        return sock

    async def booted(self, hello: Awaitable[T]) -> T:
        """The agent's `hello`, awaited until the deadline and only while its PID 1 lives. Raises
        HostUnsupported for what this host refused, BootFailed, and what `hello` raises by itself.
        """
        answer = asyncio.ensure_future(hello)
        ended = asyncio.ensure_future(self.wait())
        timeout_s = 60.0 if self._started is None else self._started.boot_timeout_s
        try:
            with stage("namespace.start", machine=self.name):
                await asyncio.wait((answer, ended), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
                if answer.done() and answer.exception() is not None:
                    await asyncio.wait((ended,), timeout=_DYING_S)  # which then says more
                elif answer.done():
                    return answer.result()
                if ended.done():
                    raise self._failure(ended.result())
                if answer.done():
                    return answer.result()
                raise BootFailed(
                    f"the agent of {self.name!r} did not answer within {timeout_s:g} s",
                    hint="a slow host may need a longer boot_timeout_s",
                )
        finally:
            answer.cancel()
            ended.cancel()

    async def wait(self) -> VmmExit:
        """How it ended, once it has. May be awaited by many."""
        await self._first.wait()
        status = 0 if self._launcher is None else await self._launcher.wait()
        if self.ended is None:
            self.ended = VmmExit(
                -signal.SIGKILL if status == 128 + signal.SIGKILL else status, _reason(status)
            )
        return self.ended

    async def stop(self) -> VmmExit:
        """End it now, whatever it does: when this returns, nothing runs in it. Legal in every state."""
        self._first.send(signal.SIGKILL)
        if self.group is not None and self.group.freezes:
            with suppress(OSError):  # what version 1 froze does not die, and PID 1 waits for it
                self.group.set_frozen(False)
        await self._first.stop(KILL)
        ended = await self.wait()
        await self.release()
        return ended

    async def pause(self) -> None:
        """Freeze the container's processes, all at once; its agent answers still.

        Raises HostUnsupported where nothing here freezes processes, Timeout; then they go on.
        """
        freezer = self.freezer()
        try:
            with self._refusing("pause"):
                freezer.set_frozen(True)
                async with asyncio.timeout(_FREEZING_S):
                    await _frozen(freezer)
        except BaseException as error:
            with suppress(OSError):
                freezer.set_frozen(False)
            if isinstance(error, TimeoutError):
                raise Timeout(
                    f"the processes of {self.name!r} did not stand still within {_FREEZING_S:g} s",
                    hint="one in state D waits for the kernel, and cannot be frozen",
                ) from error
            raise

    def resume(self) -> None:
        """Let them go on; nothing happens where they do, or nothing here freezes. Raises HostUnsupported."""
        if self.group is not None and self.group.freezes:
            with self._refusing("unpause"):
                self.group.set_frozen(False)

    @property
    def freezes(self) -> bool:
        """Whether its container's processes can be frozen."""
        return self.group is not None and self.group.freezes

    def freezer(self) -> Group:
        """What freezes its container's processes. Raises HostUnsupported where there is nothing that does."""
        if self.group is None or not self.group.freezes:
            raise HostUnsupported(
                f"cannot pause container {self.name!r}: it is in no control group that freezes processes",
                hint=f"{CGROUPS_UNDELEGATED.more}; or run it in a machine",
            )
        return self.group

    @contextmanager
    def _refusing(self, verb: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise
        except OSError as error:
            raise HostUnsupported(
                f"cannot {verb} container {self.name!r}: {error}", hint=CGROUPS_UNDELEGATED.more
            ) from error

    def discard(self) -> None:
        """Nobody will read what it wrote, which needs no haste: the kernel is the host's and goes on."""

    async def release(self) -> None:
        """Let go of descriptors; it lives on, if it lives. May be called twice."""
        if self._started is not None:
            self._started.tie.close()
            self._started.complaints.close()

    def console_tail(self) -> str:
        """What its agent complained of."""
        return "" if self._started is None else self._started.complaints.text()

    def _failure(self, ended: VmmExit) -> FirkinError:
        return failure(self.name, self._report(), self.console_tail()) or BootFailed(
            f"the namespace of {self.name!r} ended before its agent answered: {ended.reason}",
            hint="`firkin doctor` looks for the reason",
            console_tail=self.console_tail(),
        )

    def _report(self) -> bytes:
        """What its PID 1 said by its tie."""
        if self._started is None or self._started.tie.fileno() < 0:
            return b""
        try:
            return self._started.tie.recv(_REPORT_BYTES)
        except OSError:
            return b""


async def _frozen(group: Group) -> None:
    while True:  # nothing tells
        if group.is_frozen():
            return
        await asyncio.sleep(_LOOK_EVERY_S)


def _reason(status: int) -> str:
    if status > 128:
        number = status - 128
        known = next((each.name for each in signal.Signals if each == number), f"signal {number}")
        return f"its agent was killed by {known}"
    return "it ended" if status == 0 else f"its agent ended with status {os.WEXITSTATUS(status << 8)}"
