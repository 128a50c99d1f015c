"""Play: the pods of a manifest made and started, and taken away again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from firkin.aio.finish import finish
from firkin.container.volume_use import remove as remove_volume
from firkin.engine import volume_summary
from firkin.engine.container import Container
from firkin.engine.options import RunOptions
from firkin.engine.pod_members import Pod
from firkin.engine.pods import Pods
from firkin.errors import PodNotFound, VolumeNotFound
from firkin.events import event
from firkin.kube import manifest
from firkin.kube.manifest import Claim, Manifest
from firkin.kube.pod import PodPlan
from firkin.settings import Settings
from firkin.store.files import disk_errors
from firkin.volume import record as volumes


class RunsPods(Protocol):
    """What playing needs of an Engine."""

    settings: Settings

    @property
    def pods(self) -> Pods: ...
    async def create(self, options: RunOptions) -> Container: ...


class Played(msgspec.Struct, frozen=True):
    """A pod that was made, and the ids of its containers."""

    pod: Pod
    containers: tuple[str, ...]


def read(engine: RunsPods, text: bytes, name: str, more: Sequence[tuple[bytes, str]] = ()) -> Manifest:
    """The manifest called `name`. What of it changes nothing here is told in one event. Raises UsageError."""
    found = manifest.read(text, name, engine.settings, more)
    if found.unused:
        event("kube.unused", manifest=name, fields=", ".join(found.unused))
    return found


async def play(
    engine: RunsPods, wanted: Manifest, *, start: bool = True, replace: bool = False
) -> list[Played]:
    """Make the volumes and the pods of `wanted`, and start them. With `replace` pods of those names go first.

    A pod that cannot be made leaves nothing; one that cannot be started stays, so that its logs tell why.
    Raises UsageError, NameInUse, what pulling raises, and what starting raises.
    """
    for claim in wanted.claims:
        _make_volume(engine.settings, claim)
    if replace:
        await down(engine, [plan.name for plan in wanted.pods])
    made = [await _made(engine, plan) for plan in wanted.pods]
    if start:
        for each in made:
            await engine.pods.start(each.pod.record.id)
    return made


async def down(engine: RunsPods, names: Sequence[str]) -> list[Pod]:
    """Stop and remove the pods of those names; volumes stay. Those that are not there are no error."""
    found = []
    for name in names:
        with suppress(PodNotFound):
            pod = engine.pods.find(name)
            if pod.name == name:
                await engine.pods.stop(name)
                found.append(await engine.pods.remove(name, force=True))
    return found


def remove_volumes(engine: RunsPods, names: Sequence[str]) -> list[str]:
    """Remove those of the volumes that are there, with what they hold. Raises InUse."""
    found = []
    for name in names:
        with suppress(VolumeNotFound):
            remove_volume(engine.settings.paths, name)
            found.append(name)
    return found


async def _made(engine: RunsPods, plan: PodPlan) -> Played:
    for kind, path in plan.make:
        _make_place(kind, path)
    pod = await engine.pods.create(plan.options)
    try:
        ids = [(await engine.create(_in(options, pod))).id for options in plan.containers]
    except BaseException:
        await finish(engine.pods.remove(pod.record.id, force=True))
        raise
    return Played(pod, tuple(ids))


def _in(options: RunOptions, pod: Pod) -> RunOptions:
    """`options` in that pod, whoever else takes its name meanwhile."""
    assert options.pod is not None
    return msgspec.structs.replace(options, pod=msgspec.structs.replace(options.pod, pod=pod.record.id))


def _make_volume(settings: Settings, claim: Claim) -> None:
    try:
        volumes.find(settings.paths, claim.name)
    except VolumeNotFound:
        options = {} if claim.size_bytes is None else {"size": str(claim.size_bytes)}
        volume_summary.create(settings, claim.name, options=options, labels=claim.labels)


def _make_place(kind: str, path: str) -> None:
    with disk_errors(Path(path)):
        if kind == "dir":
            os.makedirs(path, mode=0o755, exist_ok=True)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
