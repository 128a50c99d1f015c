"""ContainerSummary: one line of `firkin ps`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from firkin.container.health import HealthWord
from firkin.container.pod import Sandbox
from firkin.container.record import Created, Record, State, records
from firkin.container.spec import ContainerSpec
from firkin.container.state import is_up
from firkin.errors import ContainerNotFound, Corrupt
from firkin.paths import Paths
from firkin.process.spec import ProcessSpec


class ContainerSummary(msgspec.Struct, frozen=True):
    """A container: what it is to be, and what it is now.

    Where `problem` is set, its record cannot be read, and nothing but `spec.id` means anything.
    """

    spec: ContainerSpec
    state: State
    problem: str = ""
    health: HealthWord | Literal["none"] = "none"


def summaries(paths: Paths, *, all: bool) -> list[ContainerSummary]:
    """Those that run or are about to again, with `all` every one, newest first. What cannot be
    read is listed, too; pods are not (engine.pod_members).
    """
    found = [
        summary
        for record in records(paths)
        for summary in _summary(record)
        if not isinstance(summary.spec.pod, Sandbox)
    ]
    listed = [each for each in found if all or each.problem or is_up(each.state)]
    return sorted(listed, key=lambda each: each.spec.created_ns, reverse=True)


def _summary(record: Record) -> Iterator[ContainerSummary]:
    try:
        spec, state = record.spec(), record.state()
        yield ContainerSummary(spec, state, health=_health(record, spec, state))
    except ContainerNotFound:
        return  # it was removed while we looked
    except Corrupt as error:
        yield ContainerSummary(_unknown(record.id), Created(), problem=str(error))


def _health(record: Record, spec: ContainerSpec, state: State) -> HealthWord | Literal["none"]:
    if spec.health is None:
        return "none"
    from firkin.container.health_record import health_of

    return health_of(record, state).status


def _unknown(container_id: str) -> ContainerSpec:
    return ContainerSpec(
        id=container_id,
        name="",
        image="",
        image_digest="",
        rootfs_key="",
        process=ProcessSpec(args=("",)),
        created_ns=0,
        hostname="",
    )
