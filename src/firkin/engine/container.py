"""What every container shows, whoever owns it: this process, the supervisor, or nobody any more.

OwnedContainer (engine.owner) runs in this process; RemoteContainer (engine.remote) asks the owner through its
control socket; one that has ended is read from disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol

from firkin.container.health import Probe
from firkin.container.log import LogRecord
from firkin.container.record import Exited, Running, State, Suspended
from firkin.container.spec import ContainerSpec
from firkin.engine.options import ExecOptions
from firkin.errors import WrongState
from firkin.process.protocol import Process
from firkin.process.spec import ExitStatus
from firkin.wire.messages import ProcessRow
from firkin.wire.usage import Usage

if TYPE_CHECKING:
    from firkin.engine.connection import Connection, Listener
    from firkin.engine.joining import Change
    from firkin.engine.update_words import UpdateOptions
    from firkin.snapshot.record import Snapshot
    from firkin.wire.sockets import Place
    from firkin.wire.trees import Task


class Container(Protocol):
    """One container. Methods raise WrongState where its state does not allow them."""

    @property
    def id(self) -> str:
        """64 hex digits."""

    @property
    def name(self) -> str: ...

    @property
    def spec(self) -> ContainerSpec: ...

    @property
    def state(self) -> State:
        """As it is on disk now."""

    async def attach(self, *, stdin: bool = False, replay: bool = False) -> Process:
        """The main process: its output from now on, with `replay` from its beginning.

        With `stdin`, what is written goes to its standard input, and the end of it ends that of the process.
        """

    async def exec(self, options: ExecOptions) -> Process:
        """Start one more process in it. Raises CommandNotFound, CommandNotExecutable, UsageError."""

    async def work(self, task: Task, member: str = "") -> Process:
        """Pack, unpack or stat files of it; see engine.trees. It ends with its caller. Of a pod: in the
        member of that id, which does not run.

        Raises WrongState where it does not run.
        """

    async def dial(self, place: Place, timeout_s: float | None = None) -> Connection:
        """A connection to a TCP port or a unix socket in it, over the agent's stream alone.

        Raises NotListening, Timeout.
        """

    async def listen(self, place: Place, *, mode: int = 0o600, uid: int = 0, gid: int = 0) -> Listener:
        """Listen in it for this host. Raises PortInUse, AgentError."""

    async def rename(self, name: str) -> None:
        """Give it another name, whatever its state. Raises UsageError, NameInUse."""

    async def update(self, asked: UpdateOptions) -> None:
        """Change what it may use: in its machine at once where it runs, else at its next start; and its
        restart policy. Raises UsageError where its machine cannot give that, AgentError where it uses more
        memory now; then nothing is changed.
        """

    async def rewire(self, change: Change) -> None:
        """Let it come to a network, or leave one; see engine.joining. Raises WrongState where its machine
        cannot, UsageError, NotFound, NetworkNotFound, AddressInUse; then nothing is changed.
        """

    async def stop(self, timeout_s: float | None = None, *, again: bool = False) -> None:
        """Its stop signal, after `timeout_s` (None: the container's own) SIGKILL; ended when this returns.

        Legal in every state. With `again` it stays, to be started: by the next supervisor, if by nobody
        before.
        """

    async def kill(self, signal: int) -> None:
        """Send `signal` to the main process."""

    async def pause(self) -> None:
        """Let it stand still until unpause(), as if no time passed, whoever dies meanwhile.

        Raises WrongState where it does not run or stands still already, StorageFull; then it goes on.
        """

    async def unpause(self) -> None:
        """Let it go on after pause(), with the time as it is now. Raises WrongState where it was not."""

    async def wait(self) -> ExitStatus:
        """How the main process ended, once it did."""

    async def snapshot(self, name: str = "", *, disk_only: bool = False) -> Snapshot:
        """Keep it as it is now, under `name` or one that is made up: its memory and disk, or its disk only.

        It goes on. Of one that has ended there is only the disk. Raises NameInUse, StorageFull.
        """

    async def suspend(self) -> None:
        """Save its machine beside its disk, and end it: Engine.resume() lets it go on, after a reboot too.

        Raises UsageError for one that shares directories, WrongState where it does not run, StorageFull; then
        it goes on.
        """

    def lend(self) -> AbstractAsyncContextManager[Snapshot]:
        """A snapshot of it that nobody sees, for others to start from while the block runs. Raises as
        snapshot(), WrongState where it does not run.
        """

    def still(self) -> AbstractAsyncContextManager[None]:
        """What it wrote is on its disk, and nothing writes there, while the block runs.

        The writes of a running one wait, for half a minute at most. Raises Timeout, then also at the end.
        """

    async def remove(self, *, force: bool = False) -> None:
        """Delete it. With `force` a running one is killed first, and a suspended one given up; else that
        raises WrongState.
        """

    def logs(
        self, *, follow: bool = False, tail: int | None = None, since_ns: int | None = None
    ) -> AsyncIterator[LogRecord]:
        """What its main process wrote: the last `tail` lines, from `since_ns` (CLOCK_REALTIME) on.

        With `follow` until the container has ended.
        """

    async def top(self) -> list[ProcessRow]:
        """The processes in it, their ids as in the container."""

    async def stats(self) -> Usage:
        """What it has used until now. Raises WrongState where it does not run, or stands still."""

    async def check_health(self) -> Probe:
        """Find out now whether it is healthy, which counts as every check does.

        Raises WrongState where it has no check, does not run, or stands still.
        """

    def inspect(self) -> dict[str, Any]:
        """Everything that is known of it, ready for JSON."""


def no_health_check(name: str) -> WrongState:
    """What is wrong where a container without a health check is asked for its health."""
    return WrongState(
        f"container {name!r} has no health check", hint="give it one as it is made: --health-cmd"
    )


def check_removable(state: State, name: str) -> None:
    """Raise WrongState where removing a container of that state would end or lose what it is at."""
    if isinstance(state, Running):
        raise WrongState(f"container {name!r} is running", hint=f"`firkin rm -f {name}`, or stop it first")
    if isinstance(state, Exited) and state.again_ns is not None:
        raise WrongState(
            f"container {name!r} is about to be started again",
            hint=f"`firkin rm -f {name}`, or stop it first",
        )
    if isinstance(state, Suspended):
        raise WrongState(
            f"container {name!r} is suspended",
            hint=f"`firkin rm -f {name}` gives up its memory, `firkin resume {name}` lets it go on",
        )
