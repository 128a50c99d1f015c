"""Updating: what a container may use, changed while it runs, or for its next start.

    running    its cgroup in the guest, at once; its machine stays as large as it is
               in namespaces its control group on this host, at once
    else       on record: a machine of that size at the next start, as if it had been made so

The rule: what is on record is what the kernel holds to; what the machine or the host cannot give is refused.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from firkin.container.pod import Member
from firkin.container.record import Created, Running, State, Suspended
from firkin.container.restart import RestartPolicy
from firkin.container.spec import ContainerSpec
from firkin.engine.batch import limit_op
from firkin.engine.keeper import Keeper
from firkin.engine.launch import Launched
from firkin.engine.limit_words import check_swap, checked, machine_cpus, refuse_cpuset, refuse_shares
from firkin.engine.rules import MIN_MEMORY_BYTES
from firkin.engine.update_words import UpdateOptions
from firkin.errors import FirkinError, HostUnsupported, UsageError, WrongState
from firkin.faults.kernel import CGROUPS_UNDELEGATED
from firkin.linux.cgroup.group import Unheld
from firkin.linux.cgroup.limits import Limits
from firkin.machine.namespace.limits import MACHINE, refused
from firkin.machine.namespace.namespace import Namespace
from firkin.units import format_size


def updated(spec: ContainerSpec, state: State, asked: UpdateOptions) -> ContainerSpec:
    """What `spec`, of a container in `state`, becomes by `asked`. Raises UsageError, WrongState."""
    if asked.restart is not None:
        _check_restart(spec, state, asked.restart)
        spec = msgspec.structs.replace(spec, restart=asked.restart)
    if asked == UpdateOptions(restart=asked.restart):
        return spec
    if spec.isolation == "namespace":
        return msgspec.structs.replace(spec, limits=checked(_held(spec.limits, asked)))
    refuse_shares(asked.shares)
    refuse_cpuset(asked.cpuset or "")
    check_swap(asked.memory_swap_bytes, asked.memory_bytes)
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
    HostUnsupported, StorageFull; then nothing is changed.
    """
    spec = updated(keeper.spec, keeper.state, asked)
    if spec.limits == keeper.spec.limits:
        keeper.update(spec)
        return
    launched = keeper.running()
    await _hold(launched, spec, spec.limits, keeper.spec.limits)
    try:
        keeper.update(spec)
    except FirkinError:
        with suppress(FirkinError):  # its end is told elsewhere
            await _hold(launched, spec, keeper.spec.limits, spec.limits)
        raise


async def _hold(launched: Launched, spec: ContainerSpec, wanted: Limits, held: Limits) -> None:
    """Hold the container to `wanted` from now on, or else to `held`. Raises as update()."""
    if not isinstance(launched.machine, Namespace):
        await launched.client.request(limit_op(spec.id, wanted))
        return
    group = launched.machine.group
    if group is None:
        raise HostUnsupported(
            f"nothing here holds container {spec.name!r} to a limit: it is in no control group of its own",
            hint=f"{CGROUPS_UNDELEGATED.more}; {MACHINE}",
        )
    try:
        group.hold(wanted, held)
    except Unheld as error:
        with suppress(Unheld):
            group.hold(held, wanted)
        raise refused(spec.name, error) from error


def _held(limits: Limits, asked: UpdateOptions) -> Limits:
    """`limits` with what was asked for of the host."""
    asked_for = {
        "cpus": asked.cpus,
        "memory_bytes": asked.memory_bytes,
        "memory_swap_bytes": asked.memory_swap_bytes,
        "cpuset": asked.cpuset,
        "shares": asked.shares,
    }
    changes: dict[str, Any] = {name: value for name, value in asked_for.items() if value is not None}
    if asked.pids is not None:
        changes["pids"] = asked.pids or None
    return msgspec.structs.replace(limits, **changes)


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
