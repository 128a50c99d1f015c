"""Updating: what a container may use, changed while it runs, or for its next start.

    running    its cgroup in the guest, at once; its machine stays as large as it is
    else       on record: a machine of that size at the next start, as if it had been made so

The rule: what is on record is what the guest holds to; what the machine cannot give is refused.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from firkin.container.pod import Member
from firkin.container.record import Created, Running, State, Suspended
from firkin.container.restart import RestartPolicy
from firkin.container.spec import ContainerSpec
from firkin.engine.batch import limit_op
from firkin.engine.keeper import Keeper
from firkin.engine.limit_words import machine_cpus
from firkin.engine.rules import MIN_MEMORY_BYTES
from firkin.engine.update_words import UpdateOptions
from firkin.errors import FirkinError, UsageError, WrongState
from firkin.units import format_size


def updated(spec: ContainerSpec, state: State, asked: UpdateOptions) -> ContainerSpec:
    """What `spec`, of a container in `state`, becomes by `asked`. Raises UsageError, WrongState."""
    if asked.restart is not None:
        _check_restart(spec, state, asked.restart)
        spec = msgspec.structs.replace(spec, restart=asked.restart)
    if asked == UpdateOptions(restart=asked.restart):
        return spec
    if spec.isolation == "namespace":
        raise UsageError(
            f"container {spec.name!r} is in namespaces, and nothing here holds it to a limit",
            hint="run it in a machine: without --isolation namespace",
        )
    _check_not_saved(spec, state)
    pids = spec.limits.pids if asked.pids is None else asked.pids or None
    spec = msgspec.structs.replace(spec, limits=msgspec.structs.replace(spec.limits, pids=pids))
    if asked.cpus is None and asked.memory_bytes is None:
        return spec
    if isinstance(state, Running) or isinstance(spec.pod, Member):
        return _limited(spec, asked)
    return _remade(spec, asked)


async def update(keeper: Keeper, asked: UpdateOptions) -> None:
    """Change what the running container of `keeper` may use. Raises UsageError, WrongState, AgentError,
    StorageFull; then nothing is changed.
    """
    spec = updated(keeper.spec, keeper.state, asked)
    if spec.limits == keeper.spec.limits:
        keeper.update(spec)
        return
    client = keeper.running().client
    await client.request(limit_op(spec.id, spec.limits))
    try:
        keeper.update(spec)
    except FirkinError:
        with suppress(FirkinError):  # its end is told elsewhere
            await client.request(limit_op(spec.id, keeper.spec.limits))
        raise


def _check_restart(spec: ContainerSpec, state: State, policy: RestartPolicy) -> None:
    if not policy.wanted:
        return
    if spec.auto_remove:
        raise UsageError(
            f"restart: {policy} starts a container again that is removed when it ends",
            hint="run it without --rm",
        )
    if isinstance(state, Running) and not state.detached:
        raise UsageError(
            f"restart: {policy} is for detached containers, and this one ends with its owner",
            hint="run it with -d",
        )


def _check_not_saved(spec: ContainerSpec, state: State) -> None:
    """What goes on from memory has the limits that it had."""
    if isinstance(state, Suspended) or (isinstance(state, Created) and spec.snapshot and not spec.cold):
        raise WrongState(
            f"container {spec.name!r} goes on in the machine that was saved, as it was then",
            hint="let it go on, and limit it then",
        )


def _limited(spec: ContainerSpec, asked: UpdateOptions) -> ContainerSpec:
    """Within the machine that there is."""
    limits = spec.limits
    if asked.cpus is not None:
        if asked.cpus > spec.cpus:
            raise _too_much("cpus", f"{asked.cpus:g}", f"{spec.cpus}", spec)
        limits = msgspec.structs.replace(limits, cpus=None if asked.cpus == spec.cpus else asked.cpus)
    if asked.memory_bytes is not None:
        if asked.memory_bytes > spec.memory_bytes:
            raise _too_much("memory", format_size(asked.memory_bytes), format_size(spec.memory_bytes), spec)
        whole = asked.memory_bytes == spec.memory_bytes
        limits = msgspec.structs.replace(limits, memory_bytes=None if whole else asked.memory_bytes)
    return msgspec.structs.replace(spec, limits=limits)


def _too_much(field: str, asked: str, there: str, spec: ContainerSpec) -> UsageError:
    if isinstance(spec.pod, Member):
        return UsageError(f"{field}: {asked} is more than its pod has, {there}", hint="make a larger pod")
    return UsageError(
        f"{field}: {asked} is more than its machine has, {there}, and a machine does not grow",
        hint=f"`firkin stop {spec.name}` first: its next machine is made as large",
    )


def _remade(spec: ContainerSpec, asked: UpdateOptions) -> ContainerSpec:
    """Its next machine is of that size."""
    cpus, memory = asked.cpus, asked.memory_bytes
    limits = spec.limits
    if memory is not None:
        if memory < MIN_MEMORY_BYTES:
            raise UsageError(
                f"memory: {memory} bytes are too few for a machine of its own",
                hint=f"the kernel needs some, too: give {MIN_MEMORY_BYTES >> 20}m or more",
            )
        limits = msgspec.structs.replace(limits, memory_bytes=None)
        spec = msgspec.structs.replace(spec, memory_bytes=memory)
    if cpus is not None:
        whole = machine_cpus(cpus)
        limits = msgspec.structs.replace(limits, cpus=None if cpus == whole else cpus)
        spec = msgspec.structs.replace(spec, cpus=whole)
    return msgspec.structs.replace(spec, limits=limits)
