"""AsyncContainer: a container, wherever it lives: in this process, under the supervisor, or ended.

And AsyncSnapshot, a container as it was, since each comes from the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Unpack, overload

from firkin.aio.thread import in_thread
from firkin.api.async_files import AsyncFiles
from firkin.api.async_process import AsyncProcess
from firkin.api.async_sockets import DIAL_TIMEOUT_S, AsyncConnection, AsyncListener, Opening
from firkin.api.heir_words import HeirWords, wishes
from firkin.api.outcome import finished
from firkin.api.starting import Starting
from firkin.api.tied_files import TiedFiles
from firkin.container.health import Probe
from firkin.container.log import LogRecord
from firkin.engine.container import Container as EngineContainer
from firkin.engine.deadline import within
from firkin.engine.engine import Engine
from firkin.engine.process_words import ProcessWords, exec_options
from firkin.engine.signals import parse_signal
from firkin.engine.update_words import UpdateWords, update_options
from firkin.engine.waiting import Condition, health_word
from firkin.engine.words import Size, choice
from firkin.errors import ContainerNotFound
from firkin.machine.spec import PublishedPort
from firkin.process.output import Output
from firkin.process.relay import Relays
from firkin.process.spec import ExitStatus
from firkin.snapshot.record import Snapshot as Kept
from firkin.wire.sockets import Place

if TYPE_CHECKING:
    from firkin.snapshot.diff import Change
    from firkin.wire.usage import Usage


class AsyncContainer(AsyncFiles):
    """A container. Leaving its `async with` block ends it where it still runs, and removes it."""

    def __init__(
        self, container: EngineContainer, engine: Engine, *, why_cold: str = "", relays: Relays | None = None
    ) -> None:
        self._container = container
        self._engine = engine
        self._why_cold = why_cold
        self._relays = relays

    @property
    def why_cold(self) -> str:
        """Why it began anew though a snapshot's memory was there (`restore(or_boot=True)`); "" for others."""
        return self._why_cold

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
        return self._container.spec.image

    @property
    def ports(self) -> tuple[PublishedPort, ...]:
        """What is published, with the host ports that were chosen."""
        return tuple(getattr(self._container.state, "ports", ()))

    @property
    def health(self) -> str:
        """ "starting", "healthy" or "unhealthy", as it is known now; "" where it has no health check."""
        return health_word(self._engine.paths, self._container)

    async def check_health(self) -> Probe:
        """Find out now whether it is healthy, which counts as the checks that are made by themselves.

        Raises WrongState where it has no check, does not run, or stands still.
        """
        return await self._container.check_health()

    def exec(self, command: Iterable[str], **words: Unpack[ProcessWords]) -> Starting[AsyncProcess]:
        """Start one more process in it: `await` it, enter it, or take its `.output()`.

        Environment, user and directory are the first process's where `words` say nothing. `stdin`, `stdout`
        and `stderr` mean what they do to subprocess.Popen, and may be the path of a file, too. Raises
        CommandNotFound, CommandNotExecutable, UsageError, WrongState where the container has ended.
        """
        tied = TiedFiles.taken_from(words)
        options = exec_options(command, **words)

        async def start() -> AsyncProcess:
            what = f"{options.command[0]!r} in container {self.name!r}"
            async with tied.relays(self._engine, options, what) as (given, relays):
                return AsyncProcess(await self._container.exec(given), what, relays)

        return Starting(start)

    def dial(self, place: int | str, *, timeout: float | None = DIAL_TIMEOUT_S) -> Opening[AsyncConnection]:
        """Connect to a socket in it, no network needed: `await` it, or enter it.

        `place` is a TCP port of its loopback, `"ADDRESS:PORT"`, or the path of a unix socket. Raises
        NotListening, Timeout after `timeout` seconds, WrongState where it does not run.
        """
        wanted = Place.parse(place)

        async def start() -> AsyncConnection:
            return AsyncConnection(await self._container.dial(wanted, timeout))

        return Opening(start)

    def listen(
        self, place: int | str, *, mode: int = 0o600, uid: int = 0, gid: int = 0
    ) -> Opening[AsyncListener]:
        """Listen in it for this program: `await` it, or enter it; it ends with its block, or with us.

        `place` as of dial(), port 0 for one that is free; a socket file gets that mode and owner. Raises
        PortInUse, AgentError, WrongState.
        """
        wanted = Place.parse(place)

        async def start() -> AsyncListener:
            listener = await self._container.listen(wanted, mode=mode, uid=uid, gid=gid)
            return AsyncListener(listener, f"{listener.place.called} of container {self.name!r}")

        return Opening(start)

    async def attach(self, *, stdin: bool = False, replay: bool = True) -> AsyncProcess:
        """Its first process: with `replay` all output from the start, else from now on.

        Several may be attached; a reader that stands still makes the process wait.
        """
        process = await self._container.attach(stdin=stdin, replay=replay)
        return AsyncProcess(process, f"container {self.name!r}")

    @overload
    async def output(
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
    async def output(
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
    async def output(
        self,
        input: bytes | str | None = ...,
        *,
        timeout: float | None = ...,
        check: bool = ...,
        text: bool = ...,
        limit: Size | None = ...,
        truncate: bool = ...,
    ) -> Output[Any]: ...
    async def output(
        self,
        input: bytes | str | None = None,
        *,
        timeout: float | None = None,
        check: bool = False,
        text: bool = False,
        limit: Size | None = None,
        truncate: bool = False,
    ) -> Output[Any]:
        """AsyncProcess.output() of its first process, from the start, once the machine is gone too."""
        process = await self._container.attach(stdin=input is not None, replay=True)
        rest = process if self._relays is None else self._relays.without(process)
        first = AsyncProcess(rest, f"container {self.name!r}")
        said = await first.output(input, timeout=timeout, limit=limit, truncate=truncate)
        await self._container.wait()
        await self._settled()
        return finished(said, f"container {self.name!r}", check=check, text=text)

    async def wait(self, timeout: float | None = None, *, condition: str = "not-running") -> ExitStatus:
        """How its first process ended, once the machine is gone too. Raises Timeout, MachineDied.

        `condition` "not-running" holds of one that has ended already, "next-exit" when it has ended once
        more, "removed" when it is gone; "healthy" and "unhealthy" of one that runs so, with status 0.
        """
        awaited = choice("condition", condition, Condition)
        async with within(timeout, f"wait for container {self.name!r}"):
            status = await self._engine.wait(self._container, awaited)
            if awaited not in ("healthy", "unhealthy"):
                await self._settled()
        return status

    async def start(self) -> None:
        """Start it where it was only created, or again where it has ended, on the disk that it left; the
        supervisor has it then.

        Nothing happens to one that runs. Raises what kept it from starting: then it is as before.
        """
        self._container = await self._engine.start(self.id)

    async def restart(self, timeout: float | None = None) -> None:
        """Stop it, as stop() does, where it runs, and start it; the supervisor has it then."""
        self._container = await self._engine.restart(self.id, timeout)

    async def rename(self, name: str) -> None:
        """Give it another name, whatever it does. Raises UsageError, NameInUse."""
        await self._container.rename(name)

    async def update(self, **words: Unpack[UpdateWords]) -> None:
        """Change what it may use: `cpus`, `memory`, `pids_limit`; and `restart`, its restart policy.

        One that runs is held to it at once, inside of its machine; else its next machine is of that size.
        Raises UsageError where its machine cannot give that, AgentError where it uses more memory now.
        """
        await self._container.update(update_options(words))

    async def connect(
        self, network: str, *, ip: str = "", ip6: str = "", aliases: Iterable[str] = (), mac_address: str = ""
    ) -> None:
        """Let it be on one more network: at once where it runs, else from its next start on. What is not
        said is chosen.

        Raises WrongState where its machine has no card left or it is on it already, UsageError,
        NetworkNotFound, AddressInUse.
        """
        from firkin.engine.card_words import card as card_of
        from firkin.engine.joining import Join

        card = card_of(network, ip=ip, ip6=ip6, aliases=aliases, mac_address=mac_address)
        await self._container.rewire(Join(card=card))

    async def disconnect(self, network: str, *, force: bool = False) -> None:
        """Let it leave a network. Raises WrongState where it runs and that is `user`, UsageError where it
        publishes ports by it, NotFound where it is not on it and `force` is not given.
        """
        from firkin.engine.joining import Leave

        await self._container.rewire(Leave(network=network, force=force))

    async def pause(self) -> None:
        """Let it stand still until unpause(), as if no time passed, whoever dies meanwhile.

        Raises WrongState where it does not run or is paused already; so do exec() and snapshot() then.
        """
        await self._container.pause()

    async def unpause(self) -> None:
        """Let it go on, with the time as it is now. Raises WrongState where it is not paused."""
        await self._container.unpause()

    async def suspend(self) -> None:
        """Save it to the disk and end its machine: resume() lets it go on, after a reboot of the host too.

        Raises WrongState where it does not run, UsageError where it shares directories with the host,
        StorageFull; then it goes on.
        """
        await self._container.suspend()

    async def resume(self) -> None:
        """Let it go on where it was suspended; the supervisor has it then. Nothing happens to one that runs.

        Raises WrongState where it was not suspended, Misfit where what was saved cannot go on here, and what
        kept it from starting: then it is suspended as before.
        """
        self._container = await self._engine.resume(self.id)

    async def snapshot(self, name: str = "", *, disk_only: bool = False) -> AsyncSnapshot:
        """Keep it as it is now, under `name` or its own with a number; it goes on.

        Its memory is kept too, unless it has ended or `disk_only` is said. Raises NameInUse, StorageFull.
        """
        return AsyncSnapshot(await self._container.snapshot(name, disk_only=disk_only), self._engine)

    async def fork(
        self, n: int = 1, *, detach: bool = False, **words: Unpack[HeirWords]
    ) -> list[AsyncContainer]:
        """`n` containers that go on from where this one is now, which goes on itself.

        They end with the engine and are removed once they ended, as those of run(). Raises WrongState where
        it does not run, and whatever keeps one of them from starting: then none is left.
        """
        forks = await self._engine.fork(self.id, n, wishes(detach=detach, **words))
        return [AsyncContainer(each, self._engine) for each in forks]

    async def roll_back(
        self, snapshot: str, *, discard: bool = False, force: bool = False
    ) -> AsyncSnapshot | None:
        """Let its disk be what it was in `snapshot`, a name or an id.

        What the disk is now becomes a snapshot, which is returned, unless `discard` gives it up. One that
        runs is refused with WrongState, or with `force` stopped before and started again by the supervisor.
        """
        kept = await self._engine.roll_back(self.id, snapshot, discard=discard, force=force)
        self._container = await self._engine.container(self.id)
        return None if kept is None else AsyncSnapshot(kept, self._engine)

    async def kill(self, signal: str | int = "KILL") -> None:
        """Send its first process a signal, by name or number. Raises WrongState where it has ended."""
        await self._container.kill(parse_signal(signal))

    async def stop(self, timeout: float | None = None) -> None:
        """End it: its stop signal, after `timeout` seconds (else its own) KILL. Gone when this returns."""
        await self._container.stop(timeout)
        if self._relays is not None:
            await self._relays.end()  # who reads nothing of a pipe must not hold us up

    async def remove(self, *, force: bool = False) -> None:
        """Remove it with all that it wrote; with `force` end it first.

        Raises WrongState where it runs or is suspended, without `force`.
        """
        await self._container.remove(force=force)

    async def logs(
        self, *, follow: bool = False, tail: int | None = None, since_ns: int | None = None
    ) -> AsyncIterator[LogRecord]:
        """What its first process wrote, piece by piece; with `follow` until it ends."""
        async for record in self._container.logs(follow=follow, tail=tail, since_ns=since_ns):
            yield record

    async def top(self) -> list[Any]:
        """Its processes, as ps would list them inside."""
        return await self._container.top()

    async def stats(self) -> Usage:
        """What it has used until now: time of processors, memory, devices, network, processes.

        Raises WrongState where it does not run.
        """
        return await self._container.stats()

    def follow_stats(self, every: float = 1.0) -> AsyncIterator[Usage]:
        """stats() again each `every` seconds, until it ends."""
        from firkin.engine.usage import followed

        return followed(self._container, every)

    async def changes(self) -> list[Change]:
        """What it added, changed and deleted in the files of its image; its writes wait meanwhile."""
        from firkin.engine.diffs import of_container

        return await of_container(self._engine.settings, self._container)

    def inspect(self) -> dict[str, Any]:
        """All that is known of it, as `firkin inspect` prints it."""
        return self._container.inspect()

    async def __aenter__(self) -> AsyncContainer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ContainerNotFound):  # it may have removed itself
            await asyncio.shield(self._container.remove(force=True))

        if self._relays is not None:
            await self._relays.end()

    async def _settled(self) -> None:
        """Once it has ended: wait until what it wrote is in the files that its streams were tied to."""
        if self._relays is not None:
            await self._relays.settled()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.id[:12]}>"


class AsyncSnapshot:
    """A container as it was at one moment: its memory and its disk, or its disk only."""

    def __init__(self, snapshot: Kept, engine: Engine) -> None:
        self._snapshot = snapshot
        self._engine = engine

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
        return self._snapshot.container_name

    @property
    def has_memory(self) -> bool:
        """Whether what starts from it goes on; else it begins anew on its disk."""
        return self._snapshot.machine is not None

    def restore(
        self,
        *,
        detach: bool = False,
        disk_only: bool = False,
        or_boot: bool = False,
        **words: Unpack[HeirWords],
    ) -> Starting[AsyncContainer]:
        """Start a new container from it: `await` it, enter it, or take its `.output()`.

        It ends with the engine and is removed once it ended, as those of run(). With `disk_only` it begins
        anew on the disk, with `or_boot` where the memory cannot go on here; else that raises Misfit. Raises
        NameInUse, and what booting raises.
        """
        wished = wishes(detach=detach, disk_only=disk_only, **words)
        engine = self._engine

        async def start() -> AsyncContainer:
            if or_boot:
                container, reason = await engine.restore_or_boot(self.id, wished)
            else:
                container, reason = await engine.restore(self.id, wished), ""
            return AsyncContainer(container, engine, why_cold=reason)

        return Starting(start)

    async def fork(
        self, n: int = 1, *, detach: bool = False, **words: Unpack[HeirWords]
    ) -> list[AsyncContainer]:
        """`n` new containers from it at once, on ports of their own. All of them start, or none is left."""
        forks = await self._engine.fork_snapshot(self.id, n, wishes(detach=detach, **words))
        return [AsyncContainer(each, self._engine) for each in forks]

    async def export(self, target: str | Path | BinaryIO) -> None:
        """Write it to a file, which appears whole, or to a stream: an OCI archive, for import_snapshot()."""
        from firkin.engine.snapshot_moves import export

        await export(self._engine.settings, self.id, target)

    async def remove(self, *, force: bool = False) -> None:
        """Remove it. Raises InUse where containers or snapshots stand on it and `force` is not given."""
        from firkin.engine.snapshot_use import remove, sweep_layers

        remove(self._engine.paths, self.id, force=force)
        sweep_layers(self._engine.paths)

    async def changes(self, since: str = "") -> list[Change]:
        """What was changed in its files since the snapshot of that name or id, else since the one before it.

        The first is compared with its image.
        """
        from firkin.engine.diffs import of_snapshot, of_snapshots

        paths = self._engine.settings.paths
        found = of_snapshots(paths, since, self.id) if since else of_snapshot(paths, self.id)
        return await in_thread(partial(list, found))

    def inspect(self) -> dict[str, Any]:
        """All that is known of it, as `firkin snapshot inspect` prints it."""
        from firkin.engine.snapshot_summary import facts

        return facts(self._engine.paths, self._snapshot)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.id[:12]}>"
