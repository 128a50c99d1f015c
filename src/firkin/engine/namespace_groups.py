"""The control groups of a container in namespaces: made when it starts, on record before, removed at its end.

    containers/<id>/cgroups.json ► the groups, with their limits ► its processes, which are born or join there

A crash between any two of these leaves a record by which whoever starts or tidies the container removes them.
Where no group may be made, a container without limits lives without.
"""

from __future__ import annotations

from firkin.container import groups
from firkin.container.record import Record
from firkin.container.spec import ContainerSpec
from firkin.errors import HostUnsupported
from firkin.events import event
from firkin.linux.cgroup.group import Group, Unheld, group_of
from firkin.linux.cgroup.limits import UNLIMITED
from firkin.linux.cgroup.places import here
from firkin.machine.namespace import limits


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
        groups.note(record.cgroups_path, group)
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
    return groups.left(record.cgroups_path, record.id)


def remove_left(record: Record) -> None:
    """Remove the group of a container that does not run, if there is one. Raises nothing."""
    groups.remove_left(record.cgroups_path, record.id)
