"""AsyncPod: several containers in one machine, from asyncio."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Unpack

from firkin.api.async_container import AsyncContainer
from firkin.api.starting import Starting
from firkin.engine.engine import Engine
from firkin.engine.pod_facts import pod_facts
from firkin.engine.pod_members import Pod as Kept
from firkin.engine.pod_members import find, pods, state_word, summary
from firkin.engine.pod_options import pod_options
from firkin.engine.pod_words import PodWords
from firkin.engine.signals import parse_signal
from firkin.engine.words import RunWords, run_options
from firkin.errors import WrongState
from firkin.machine.spec import PublishedPort
from firkin.wire.usage import Usage


class AsyncPod:
    """Several containers in one machine. Leaving its block takes it away with all that is in it.

    One of AsyncEngine.pod() is made when it is entered, and goes with this process, too.
    """

    def __init__(self, engine: Engine, *, words: PodWords | None = None, kept: Kept | None = None) -> None:
        self._engine = engine
        self._words = words
        self._kept = kept
        self._stack = AsyncExitStack()

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self._pod.record.id

    @property
    def name(self) -> str:
        return self._pod.name

    @property
    def state(self) -> str:
        """ready, running, paused or stopped."""
        return state_word(self._pod.record.state())

    @property
    def ports(self) -> tuple[PublishedPort, ...]:
        """What is published, with the host ports that were chosen."""
        return tuple(getattr(self._pod.record.state(), "ports", ()))

    def run(
        self, image: str, command: Iterable[str] = (), **words: Unpack[RunWords]
    ) -> Starting[AsyncContainer]:
        """Start a container in it: `await` it, enter it, or take its `.output()`. The pod starts with it.

        It stays in the pod when it has ended, unless `words` say auto_remove. Raises as AsyncEngine.run(),
        and UsageError for what only the pod as a whole can have.
        """
        words["pod"] = self.id
        options = run_options(image, command, **words)

        async def start() -> AsyncContainer:
            return AsyncContainer(await self._engine.run_detached(options), self._engine)

        return Starting(start)

    async def create(
        self, image: str, command: Iterable[str] = (), **words: Unpack[RunWords]
    ) -> AsyncContainer:
        """A container in it that is not started before the pod is, or it is. Raises as run()."""
        words["pod"] = self.id
        options = run_options(image, command, **words)
        return AsyncContainer(await self._engine.create(options), self._engine)

    async def containers(self) -> list[AsyncContainer]:
        """All containers in it, in the order in which they were made."""
        found = [await self._engine.container(record.id) for record, _ in self._pod.members()]
        return [AsyncContainer(each, self._engine) for each in found]

    async def start(self) -> None:
        """Start it with its containers. Raises what starting one of them raises; the others go on."""
        await self._engine.pods.start(self.id)

    async def stop(self, timeout: float | None = None) -> None:
        """Stop its containers, each as by its stop(), at once; then its machine. Legal in every state."""
        await self._engine.pods.stop(self.id, timeout)

    async def restart(self, timeout: float | None = None) -> None:
        """stop(timeout), then start()."""
        await self._engine.pods.restart(self.id, timeout)

    async def kill(self, signal: str | int = "KILL") -> None:
        """Send the first process of each of its running containers a signal. Raises WrongState where the pod
        does not run.
        """
        await self._engine.pods.kill(self.id, parse_signal(signal))

    async def pause(self) -> None:
        """Let it stand still with its containers. Raises WrongState where it does not run."""
        await self._engine.pods.pause(self.id)

    async def unpause(self) -> None:
        """Let it go on, with the time as it is now. Raises WrongState where it is not paused."""
        await self._engine.pods.unpause(self.id)

    async def remove(self, *, force: bool = False) -> None:
        """Delete it with its containers. Raises WrongState where it runs and `force` is not given."""
        await self._engine.pods.remove(self.id, force=force)

    async def top(self) -> dict[str, list[Any]]:
        """The processes of each of its running containers, by their names. Raises WrongState where it does
        not run, or is paused.
        """
        return {name: list(rows) for name, rows in (await self._engine.pods.top(self.id)).items()}

    async def stats(self) -> dict[str, Usage]:
        """What each of its running containers has used until now, by their names. Raises as top()."""
        return await self._engine.pods.stats(self.id)

    async def inspect(self) -> dict[str, Any]:
        """All that is known of it."""
        return pod_facts(summary(self._pod))

    async def __aenter__(self) -> AsyncPod:
        if self._words is not None and self._kept is None:
            options = pod_options(self._words, tied=True)
            self._kept = await self._stack.enter_async_context(self._engine.pods.tied(options))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._words is None:
            await self._engine.discard(self.id)
        await self._stack.aclose()

    @property
    def _pod(self) -> Kept:
        if self._kept is None:
            raise WrongState("the pod is not made yet", hint="use it as an async context manager")
        return self._kept


async def created(engine: Engine, words: PodWords) -> AsyncPod:
    """A pod that stays."""
    return AsyncPod(engine, kept=await engine.pods.create(pod_options(words)))


def found(engine: Engine, name_or_id: str) -> AsyncPod:
    """The pod of that name. Raises PodNotFound."""
    return AsyncPod(engine, kept=find(engine.paths, name_or_id))


async def played(
    engine: Engine, manifest: str | Path | bytes, *, start: bool, replace: bool
) -> list[AsyncPod]:
    """The pods of a Kubernetes manifest."""
    from firkin.kube import play
    from firkin.kube.source import text_of

    text, name = (manifest, "the manifest") if isinstance(manifest, bytes) else text_of(manifest)
    found = await play.play(engine, play.read(engine, text, name), start=start, replace=replace)
    return [AsyncPod(engine, kept=each.pod) for each in found]


async def taken_down(engine: Engine, manifest: str | Path | bytes) -> list[str]:
    """The names of the pods of a Kubernetes manifest that were there."""
    from firkin.kube import manifest as manifests
    from firkin.kube import play
    from firkin.kube.source import text_of

    text, name = (manifest, "the manifest") if isinstance(manifest, bytes) else text_of(manifest)
    return [pod.name for pod in await play.down(engine, manifests.names(text, name))]


def everyone(engine: Engine) -> list[AsyncPod]:
    """All pods, those made last in front."""
    return [AsyncPod(engine, kept=each) for each in reversed(pods(engine.paths))]
