"""The control groups of a container in namespaces: made when it starts, on record before, removed at its end.

    containers/<id>/cgroups.json ► the groups, with their limits ► its processes, which are born or join there

A crash between any two of these leaves a record by which whoever starts or tidies the container removes them.
Where no group may be made, a container without limits lives without.
"""

from __future__ import annotations

import os
from contextlib import suppress

import msgspec

from firkin.container.record import Record
from firkin.container.spec import ContainerSpec
from firkin.decoder import json_decoder
from firkin.errors import HostUnsupported
from firkin.events import event
from firkin.linux.cgroup.group import Group, Unheld, group_of
from firkin.linux.cgroup.limits import UNLIMITED
from firkin.linux.cgroup.places import here
from firkin.machine.namespace import limits

_MOST_BYTES = 1 << 16


def made(record: Record, spec: ContainerSpec) -> Group | None:
    """The group of a container that is about to start, for remove_left() to remove, also where this raises
    HostUnsupported or UsageError.
    """
    remove_left(record)
    places = here()
    limits.check(spec.name, spec.limits, places)
    group = group_of(places, f"firkin-{spec.id[:12]}")
    if group is None:
        return None
    try:
        _note(record, group)
        group.make()
        group.hold(spec.limits)
    except Unheld as error:
        raise limits.refused(spec.name, error) from error
    except OSError as error:
        if spec.limits == UNLIMITED:
            event("container.ungrouped", container=spec.id, name=spec.name, reason=str(error))
            remove_left(record)
            return None
        raise HostUnsupported(
            f"cannot make a control group for container {spec.name!r}: {error}",
            hint=limits.hint("undelegated", places),
        ) from error
    return group


def left(record: Record) -> Group | None:
    """The group of a container that runs; None where it has none."""
    path = record.cgroups_path
    try:
        with open(path, "rb") as file:
            group: Group = json_decoder(Group).decode(file.read(_MOST_BYTES))
            return group
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        event("container.ungrouped", container=record.id, name="", reason=str(error))
        return None


def remove_left(record: Record) -> None:
    """Remove the group of a container that does not run, if there is one. Raises nothing."""
    group = left(record)
    if group is None:
        return
    try:
        group.remove()
    except OSError as error:
        event("container.untidy", container=record.id, error=error)  # its record stays, for the next to try
        return
    with suppress(OSError):
        record.cgroups_path.unlink()


def _note(record: Record, group: Group) -> None:
    """As long-lived as what it tells of, which is gone after a reboot: so nothing waits for the disk. Raises
    OSError.
    """
    path = record.cgroups_path
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(group))
    os.replace(new, path)
