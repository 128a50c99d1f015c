"""Which control groups a container in namespaces has on this host, beside its record.

    containers/<id>/cgroups.json    a linux.cgroup.group.Group, there before its directories are

The rule: whoever starts, tidies or removes the container removes what it tells of, so a crash leaves none.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from firkin.decoder import json_decoder
from firkin.events import event
from firkin.linux.cgroup.group import Group

_MOST_BYTES = 1 << 16


def note(path: Path, group: Group) -> None:
    """Put `group` on record. It lives as long as what it tells of, which is gone after a reboot: so nothing
    waits for the disk. Raises OSError.
    """
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(group))
    os.replace(new, path)


def left(path: Path, container_id: str) -> Group | None:
    """The group on record; None where there is none."""
    try:
        with open(path, "rb") as file:
            group: Group = json_decoder(Group).decode(file.read(_MOST_BYTES))
            return group
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        event("container.ungrouped", container=container_id, name="", reason=str(error))
        return None


def remove_left(path: Path, container_id: str) -> None:
    """Remove the group of a container that does not run, if there is one. Raises nothing."""
    group = left(path, container_id)
    if group is None:
        return
    try:
        group.remove()
    except OSError as error:
        event(
            "container.untidy", container=container_id, error=error
        )  # its record stays, for the next to try
        return
    with suppress(OSError):
        path.unlink()
