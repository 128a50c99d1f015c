"""A running machine: its VMM as a process, its agent's socket, its console, and QMP when it is needed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from firkin.aio.child import KILL, STOP, Child
from firkin.errors import AgentError, BootFailed, FirkinError, MachineDied
from firkin.events import event, stage
from firkin.linux import unix_socket
from firkin.machine import template
from firkin.machine.qemu import exit as exits
from firkin.machine.qemu.command import Accelerator
from firkin.machine.qemu.exit import VmmExit
from firkin.machine.qemu.files import AGENT_SOCKET, QMP_SOCKET
from firkin.machine.qemu.incoming import refusal
from firkin.machine.started import Started
from firkin.wire.frames import NONCE_BYTES, Control, Frame, FrameParser, Sync, encode
from firkin.wire.messages import Batch, Op, decode_control, encode_control, op_map

if TYPE_CHECKING:
    from qemu.qmp import QMPClient

T = TypeVar("T")

_DYING_S = 1.0


class Machine:
    """One machine and its VMM, of which it is the owner from now on. Needs a running event loop.

    `forked` says that it went on from what was saved, and booted no kernel. `pid` is the VMM's, `ports` have
    the host_port that was chosen, `cards` is how many it has for private networks, `confinement` is what
    holds the VMM (None for an adopted machine: whoever started it was told).
    """

    def __init__(self, started: Started) -> None:
        self.name = started.name
        self.pid = started.pid
        self.accelerator: Accelerator = started.accelerator
        self.ports = started.ports
        self.cards = started.cards
        self.confinement = started.confinement
        self.forked = started.forked
        self._template_path = started.template_path
        self._vmm = Child(started.pid, started.pidfd, ours=started.ours)
        self.run_dir = started.run_dir
        self._console = started.console
        self._complaints = started.complaints
        self._daemons = started.daemons
        self._boot_timeout_s = started.boot_timeout_s
        self._incoming = started.incoming
        self._qmp: QMPClient | None = None
        self._discarded = False
        self.ended: VmmExit | None = None
        """How the VMM ended, where somebody has waited for that."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._console.fd, self._drain_console)

    def open_agent(self) -> socket.socket:
        """A connection to the agent, non-blocking; the caller owns it. Bytes wait in it until the guest is
        up.

        The VMM talks to one client at a time: a second one waits for the first to leave. Raises MachineDied.
        """
        try:
            sock = unix_socket.connect(self.run_dir / AGENT_SOCKET)
        except OSError as error:
            raise MachineDied(
                f"cannot reach machine {self.name!r}: {error.strerror}", hint="it is gone"
            ) from error
        sock.setblocking(False)
        return sock

    async def first_answer(self, ops: Sequence[Op] = ()) -> socket.socket:
        """The connection on which the agent has answered a SYNC and done `ops`; the caller closes it.

        Raises MachineDied for one that ends instead, AgentError where it refuses.
        """
        sock, nonce = self.open_agent(), os.urandom(NONCE_BYTES)
        request = encode_control({**op_map(Batch(ops=tuple(ops))), "id": 1})
        parser = FrameParser(nonce=nonce)
        answered = 0
        try:
            await self._loop.sock_sendall(sock, encode(Sync(nonce)) + encode(Control(request)))
            while answered == 0:
                if not (data := await self._loop.sock_recv(sock, 1 << 16)):
                    raise MachineDied(f"machine {self.name!r} hung up", hint="see its console.log")
                answered = sum(self._is_answer(frame) for frame in parser.feed(data))
        except BaseException:
            sock.close()
            raise
        return sock

    def _is_answer(self, frame: Frame) -> bool:
        """Whether `frame` says that all was done that first_answer() asked for. Raises AgentError."""
        message = decode_control(frame.payload) if isinstance(frame, Control) else {}
        if "err" in message:
            raise AgentError(f"machine {self.name!r} refused its first request: {message['err']}")
        return "ok" in message

    async def booted(self, hello: Awaitable[T]) -> T:
        """The agent's `hello`, awaited until the boot deadline and only while the VMM lives.

        Raises BootFailed with the console's tail, PortInUse or HostUnsupported for what QEMU refused, and
        what `hello` raises by itself.
        """
        with (
            stage("machine.restore", machine=self.name, accelerator=self.accelerator)
            if self.forked
            else stage("machine.boot", machine=self.name, accelerator=self.accelerator)
        ):
            try:
                return await self._answered(hello)
            except BootFailed as error:
                self._blame_template(error)
                raise

    async def _answered(self, hello: Awaitable[T]) -> T:
        answer = asyncio.ensure_future(hello)
        ended = asyncio.ensure_future(self.wait())
        refused = asyncio.ensure_future(self._refused())
        try:
            await asyncio.wait(
                (answer, ended, refused),
                timeout=self._boot_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if answer.done() and answer.exception() is not None:
                # The connection broke: most often because the VMM ends, which then says more.
                await asyncio.wait((ended,), timeout=_DYING_S)
            elif answer.done():
                self._arrived()
                return answer.result()
            if ended.done():
                raise self._boot_failure(ended.result())
            if answer.done():
                return answer.result()
            if refused.done():
                raise BootFailed(
                    f"QEMU cannot go on with machine {self.name!r}: {refused.result()}",
                    hint="does another machine use its disk? else boot it anew",
                    console_tail=self.console_tail(),
                )
            raise self._boot_timeout()
        finally:
            for task in (answer, ended, refused):
                task.cancel()

    def _blame_template(self, error: BootFailed) -> None:
        """A template whose fork does not come up is removed, so that the next start makes another."""
        if self._template_path is not None:
            template.remove(self._template_path)
            event("template.discarded", template=self._template_path.name, error=error)
            error.hint = f"its template was removed, so try again; {error.hint}"
            if self.ended is not None:  # and did not only take too long
                error.passing = error.passing or "its template was damaged, and another will be made"

    async def wait(self) -> VmmExit:
        """How the VMM ended, once it has. May be awaited by many."""
        status = await self._vmm.wait()
        if self.ended is None:
            complaint = self._complaints.text() if self._complaints else ""
            self.ended = exits.explain(status, complaint, self.console_tail())
        return self.ended

    def discard(self) -> None:
        """Say that nobody will read what it wrote: stop() does not let the VMM finish that."""
        self._discarded = True

    async def stop(self) -> VmmExit:
        """End the machine now, whatever it does: when this returns, it is gone. Legal in every state.

        What the guest has not synced is lost to the guest; what it has written stays. Raises Timeout for a
        VMM that even SIGKILL does not end.
        """
        self.halt(False)
        await self._vmm.stop(KILL if self._discarded else STOP)
        ended = await self.wait()
        for daemon in self._daemons:
            await daemon.stop()
        await self.release()
        return ended

    async def release(self) -> None:
        """Let go of descriptors and connections; the machine lives on, if it lives. May be called twice."""
        if self._qmp is not None:
            from firkin.machine.qemu.monitor import disconnect

            qmp, self._qmp = self._qmp, None
            await disconnect(qmp)
        if self._incoming is not None:
            self._incoming.close()
        if self._complaints is not None:
            self._complaints.close()
        if self._console.fd >= 0:
            self._loop.remove_reader(self._console.fd)
            self._console.close()

    def console_tail(self) -> str:
        """The last lines that the guest's kernel printed, at most 16 KiB."""
        return self._console.tail()

    async def pause(self) -> None:
        """Stop the virtual CPUs. Raises MachineDied, Timeout."""
        await self._execute("stop")

    async def resume(self) -> None:
        """Let the virtual CPUs run again. Raises MachineDied, Timeout."""
        await self._execute("cont")

    async def balloon(self, memory_bytes: int) -> None:
        """Leave the guest so much of its memory, as soon as it gives the rest; more may be given back later.

        It keeps what it cannot do without. Raises UsageError for more than it was started with, or less than
        a kernel needs, AgentError where it has no balloon, MachineDied, Timeout.
        """
        from firkin.machine.qemu.balloon import inflate

        await inflate(await self.monitor(), self.name, memory_bytes)

    def halt(self, halted: bool) -> None:
        """Let the VMM itself stand still, whatever it is at, or let it go on. Not where a guest runs, which
        would not know.
        """
        self._vmm.send(signal.SIGSTOP if halted else signal.SIGCONT)

    async def switch_overlay(self, path: Path) -> None:
        """Let the guest's writes to its first disk go to the empty qcow2 at `path` from now on.

        What was on top is never written again. Raises AgentError where the VMM refuses, then all is as it
        was, MachineDied, Timeout, OSError.
        """
        from firkin.machine.qemu.overlay import switch_overlay

        await switch_overlay(await self.monitor(), self.name, path)

    async def monitor(self) -> QMPClient:
        """The QMP session of this machine, opened when it is first asked for; it goes with release().

        Raises MachineDied, Timeout.
        """
        from firkin.machine.qemu.monitor import connect

        if self._qmp is None:
            self._qmp = await connect(self.run_dir / QMP_SOCKET, self.name)
        return self._qmp

    async def _execute(self, command: str) -> None:
        from firkin.machine.qemu.monitor import execute

        await execute(await self.monitor(), command, self.name)

    async def _refused(self) -> str:
        """What its VMM refused of what it was told to become; does not return where nothing."""
        if self._incoming is not None:
            with suppress(OSError):  # it has ended, which says more
                while data := await self._loop.sock_recv(self._incoming, 64 << 10):
                    if reason := refusal(data):
                        return reason
        await asyncio.Event().wait()
        raise AssertionError

    def _arrived(self) -> None:
        """It runs: what was to be told to its VMM for that is done, and QMP is free for others."""
        if self._incoming is not None:
            self._incoming.close()
            self._incoming = None

    def _boot_failure(self, ended: VmmExit) -> FirkinError:
        failures = (daemon.failure(self.name) for daemon in self._daemons)
        return next(filter(None, failures), None) or exits.boot_failure(
            self.name, ended, self.console_tail(), forked=self.forked
        )

    def _boot_timeout(self) -> BootFailed:
        return BootFailed(
            f"machine {self.name!r} ({self.accelerator}) did not reach its agent within "
            f"{self._boot_timeout_s:g} s",
            hint="see the console's tail; a slow host may need a longer boot_timeout_s",
            console_tail=self.console_tail(),
        )

    def _drain_console(self) -> None:
        if not self._console.drain():
            self._loop.remove_reader(self._console.fd)
