"""Container and Snapshot: their asynchronous twins with blocking calls.

Each method promises what its namesake in api.async_container does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Unpack, overload

from firkin.api.async_container import AsyncContainer, AsyncSnapshot
from firkin.api.async_sockets import DIAL_TIMEOUT_S
from firkin.api.files import Files
from firkin.api.heir_words import HeirWords
from firkin.api.loop import Loop
from firkin.api.process import Process
from firkin.api.sockets import Connection, Listener
from firkin.container.health import Probe
from firkin.container.log import LogRecord
from firkin.engine.process_words import ProcessWords
from firkin.engine.update_words import UpdateWords
from firkin.engine.words import Size
from firkin.machine.spec import PublishedPort
from firkin.process.output import Output
from firkin.process.spec import ExitStatus

if TYPE_CHECKING:
    from firkin.snapshot.diff import Change
    from firkin.wire.usage import Usage


class Container(Files):
    """A container. Leaving its `with` block ends it where it still runs, and removes it."""

    def __init__(self, container: AsyncContainer, loop: Loop) -> None:
        self._container = container
        self._loop = loop

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self._container.id

    @property
    def name(self) -> str:
        return self._container.name

    @property
    def image(self) -> str:
        """The reference that it was started from."""
        return self._container.image

    @property
    def why_cold(self) -> str:
        """Why it began anew though a snapshot's memory was there (`restore(or_boot=True)`); "" for others."""
        return self._container.why_cold

    @property
    def ports(self) -> tuple[PublishedPort, ...]:
        """What is published, with the host ports that were chosen."""
        return self._container.ports

    @property
    def health(self) -> str:
        """ "starting", "healthy" or "unhealthy", as it is known now; "" where it has no health check."""
        return self._container.health

    def check_health(self) -> Probe:
        """Find out now whether it is healthy, which counts as the checks that are made by themselves."""
        return self._loop.call(self._container.check_health())

    def exec(self, command: Iterable[str], **words: Unpack[ProcessWords]) -> Process:
        """Start one more process in it. `words`: env, workdir, user, groups, stdin, terminal.

        Raises CommandNotFound, CommandNotExecutable, UsageError, WrongState where the container has ended.
        """

        async def start() -> Process:
            return Process(await self._container.exec(command, **words), self._loop)

        return self._loop.call(start())

    def dial(self, place: int | str, *, timeout: float | None = DIAL_TIMEOUT_S) -> Connection:
        """Connect to a TCP port or a unix socket in it, no network needed.

        Raises NotListening, Timeout after `timeout` seconds, WrongState where it does not run.
        """

        async def start() -> Connection:
            return Connection(await self._container.dial(place, timeout=timeout), self._loop)

        return self._loop.call(start())

    def listen(self, place: int | str, *, mode: int = 0o600, uid: int = 0, gid: int = 0) -> Listener:
        """Listen in it for this program. Raises PortInUse, AgentError, WrongState."""

        async def start() -> Listener:
            listener = await self._container.listen(place, mode=mode, uid=uid, gid=gid)
            return Listener(listener, self._loop)

        return self._loop.call(start())

    def attach(self, *, stdin: bool = False, replay: bool = True) -> Process:
        """Its first process: with `replay` all output from the start, else from now on."""
        return Process(self._loop.call(self._container.attach(stdin=stdin, replay=replay)), self._loop)

    @overload
    def output(
        self,
        input: bytes | str | None = ...,
        *,
        timeout: float | None = ...,
        check: bool = ...,
        text: Literal[False] = ...,
        limit: Size | None = ...,
        truncate: bool = ...,
    ) -> Output[bytes]: ...
    @overload
    def output(
        self,
        input: bytes | str | None = ...,
        *,
        timeout: float | None = ...,
        check: bool = ...,
        text: Literal[True],
        limit: Size | None = ...,
        truncate: bool = ...,
    ) -> Output[str]: ...
    @overload
    def output(
        self,
        input: bytes | str | None = ...,
        *,
        timeout: float | None = ...,
        check: bool = ...,
        text: bool = ...,
        limit: Size | None = ...,
        truncate: bool = ...,
    ) -> Output[Any]: ...
    def output(
        self,
        input: bytes | str | None = None,
        *,
        timeout: float | None = None,
        check: bool = False,
        text: bool = False,
        limit: Size | None = None,
        truncate: bool = False,
    ) -> Output[Any]:
        """Run its first process to its end: Process.output() of attach()."""
        return self._loop.call(
            self._container.output(
                input, timeout=timeout, check=check, text=text, limit=limit, truncate=truncate
            )
        )

    def wait(self, timeout: float | None = None, *, condition: str = "not-running") -> ExitStatus:
        """How its first process ended, once the machine is gone too. Raises Timeout, MachineDied."""
        return self._loop.call(self._container.wait(timeout, condition=condition))

    def start(self) -> None:
        """Start it where it was created or has ended, on the disk it left; the supervisor has it then."""
        self._loop.call(self._container.start())

    def restart(self, timeout: float | None = None) -> None:
        """Stop it, as stop() does, where it runs, and start it; the supervisor has it then."""
        self._loop.call(self._container.restart(timeout))

    def rename(self, name: str) -> None:
        """Give it another name, whatever it does."""
        self._loop.call(self._container.rename(name))

    def update(self, **words: Unpack[UpdateWords]) -> None:
        """Change what it may use: `cpus`, `memory`, `pids_limit`; and `restart`, its restart policy."""
        self._loop.call(self._container.update(**words))

    def connect(
        self, network: str, *, ip: str = "", ip6: str = "", aliases: Iterable[str] = (), mac_address: str = ""
    ) -> None:
        """Let it be on one more network: at once where it runs, else from its next start on. What is not said
        is chosen.
        """
        self._loop.call(
            self._container.connect(network, ip=ip, ip6=ip6, aliases=aliases, mac_address=mac_address)
        )

    def disconnect(self, network: str, *, force: bool = False) -> None:
        """Let it leave a network."""
        self._loop.call(self._container.disconnect(network, force=force))

    def pause(self) -> None:
        """Let it stand still until unpause(), as if no time passed, whoever dies meanwhile."""
        self._loop.call(self._container.pause())

    def unpause(self) -> None:
        """Let it go on, with the time as it is now."""
        self._loop.call(self._container.unpause())

    def suspend(self) -> None:
        """Save it to the disk and end its machine: resume() lets it go on, after a reboot of the host too."""
        self._loop.call(self._container.suspend())

    def resume(self) -> None:
        """Let it go on where it was suspended; the supervisor has it then."""
        self._loop.call(self._container.resume())

    def snapshot(self, name: str = "", *, disk_only: bool = False) -> Snapshot:
        """Keep it as it is now, under `name` or its own with a number; it goes on."""
        kept = self._loop.call(self._container.snapshot(name, disk_only=disk_only))
        return Snapshot(kept, self._loop)

    def fork(self, n: int = 1, *, detach: bool = False, **words: Unpack[HeirWords]) -> list[Container]:
        """`n` containers that go on from where this one is now, which goes on itself."""
        forks = self._loop.call(self._container.fork(n, detach=detach, **words))
        return [Container(each, self._loop) for each in forks]

    def roll_back(self, snapshot: str, *, discard: bool = False, force: bool = False) -> Snapshot | None:
        """Let its disk be what it was in `snapshot`; what it is now becomes a snapshot, unless `discard`."""
        kept = self._loop.call(self._container.roll_back(snapshot, discard=discard, force=force))
        return None if kept is None else Snapshot(kept, self._loop)

    def kill(self, signal: str | int = "KILL") -> None:
        """Send its first process a signal, by name or number. Raises WrongState where it has ended."""
        self._loop.call(self._container.kill(signal))

    def stop(self, timeout: float | None = None) -> None:
        """End it: its stop signal, `timeout` seconds, then KILL. Gone when this returns."""
        self._loop.call(self._container.stop(timeout))

    def remove(self, *, force: bool = False) -> None:
        """Remove it with all that it wrote; with `force` end it first.

        Raises WrongState where it runs or is suspended, without `force`.
        """
        self._loop.call(self._container.remove(force=force))

    def logs(
        self, *, follow: bool = False, tail: int | None = None, since_ns: int | None = None
    ) -> Iterator[LogRecord]:
        """What its first process wrote, piece by piece; with `follow` until it ends."""
        return self._loop.iterate(self._container.logs(follow=follow, tail=tail, since_ns=since_ns))

    def top(self) -> list[Any]:
        """Its processes, as ps would list them inside."""
        return self._loop.call(self._container.top())

    def stats(self) -> Usage:
        """What it has used until now: time of processors, memory, devices, network, processes."""
        return self._loop.call(self._container.stats())

    def follow_stats(self, every: float = 1.0) -> Iterator[Usage]:
        """stats() again each `every` seconds, until it ends."""
        return self._loop.iterate(self._container.follow_stats(every))

    def changes(self) -> list[Change]:
        """What it added, changed and deleted in the files of its image; its writes wait meanwhile."""
        return self._loop.call(self._container.changes())

    def inspect(self) -> dict[str, Any]:
        """All that is known of it, as `firkin inspect` prints it."""
        return self._container.inspect()

    def __enter__(self) -> Container:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call(self._container.__aexit__(kind, error, trace))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.id[:12]}>"


class Snapshot:
    """A container as it was at one moment: its memory and its disk, or its disk only."""

    def __init__(self, snapshot: AsyncSnapshot, loop: Loop) -> None:
        self._snapshot = snapshot
        self._loop = loop

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self._snapshot.id

    @property
    def name(self) -> str:
        return self._snapshot.name

    @property
    def container(self) -> str:
        """The name of the container that it was taken of, which may be gone."""
        return self._snapshot.container

    @property
    def has_memory(self) -> bool:
        """Whether what starts from it goes on; else it begins anew on its disk."""
        return self._snapshot.has_memory

    def restore(
        self,
        *,
        detach: bool = False,
        disk_only: bool = False,
        or_boot: bool = False,
        **words: Unpack[HeirWords],
    ) -> Container:
        """Start a new container from it, which goes on from its memory unless told otherwise."""

        async def start() -> AsyncContainer:
            return await self._snapshot.restore(detach=detach, disk_only=disk_only, or_boot=or_boot, **words)

        return Container(self._loop.call(start()), self._loop)

    def fork(self, n: int = 1, *, detach: bool = False, **words: Unpack[HeirWords]) -> list[Container]:
        """`n` new containers from it at once, on ports of their own."""
        forks = self._loop.call(self._snapshot.fork(n, detach=detach, **words))
        return [Container(each, self._loop) for each in forks]

    def export(self, target: str | Path | BinaryIO) -> None:
        """Write it to a file, which appears whole, or to a stream: an OCI archive, for import_snapshot()."""
        self._loop.call(self._snapshot.export(target))

    def remove(self, *, force: bool = False) -> None:
        """Remove it. Raises InUse where containers or snapshots stand on it and `force` is not given."""
        self._loop.call(self._snapshot.remove(force=force))

    def changes(self, since: str = "") -> list[Change]:
        """What was changed in its files since the snapshot of that name or id, else since the one before it.

        The first is compared with its image.
        """
        return self._loop.call(self._snapshot.changes(since))

    def inspect(self) -> dict[str, Any]:
        """All that is known of it, as `firkin snapshot inspect` prints it."""
        return self._snapshot.inspect()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.id[:12]}>"
