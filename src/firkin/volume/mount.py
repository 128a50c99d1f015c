"""VolumeMount: which volume a container has where."""

from __future__ import annotations

from typing import Literal

import msgspec

Driver = Literal["disk", "dir"]
"""disk: an ext4 of its own, for one machine at a time. dir: a directory of this host, for any number."""

Owners = Literal["", "U", "idmap"]
"""Of files of this host in a container's namespaces. "": whose id is mapped there. U: all are given to the
container's user before it first starts. idmap: a file of id N is N's in the container (mount_setattr(2))."""


class VolumeMount(msgspec.Struct, frozen=True, kw_only=True):
    """A volume at `target` in the container."""

    target: str
    name: str = ""
    """"": one that nobody named, which is made with the container."""
    driver: Driver = "disk"
    path: str = ""
    """What is shown of this host, where the driver is dir."""
    anonymous: bool = False
    """Whether it was made with the container, for it alone."""
    readonly: bool = False
    options: tuple[str, ...] = ()
    """`nosuid`, `nodev`, `noexec`."""
    owners: Owners = ""
    copy: bool = True
    """Whether an empty volume begins with what the image has at `target`."""
