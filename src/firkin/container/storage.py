"""Storage: what a container has beside its own disk."""

from __future__ import annotations

import msgspec

from firkin.container.host_device import HostDevice
from firkin.volume.mount import VolumeMount


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """In the order in which they were asked for; their disks stand behind the container's in that order."""

    volumes: tuple[VolumeMount, ...] = ()
    devices: tuple[HostDevice, ...] = ()
    """Behind the volumes' disks."""

    @property
    def disks(self) -> tuple[VolumeMount, ...]:
        """The volumes that are disks."""
        return tuple(each for each in self.volumes if each.driver == "disk")

    @property
    def directories(self) -> tuple[VolumeMount, ...]:
        """The volumes that are directories of this host."""
        return tuple(each for each in self.volumes if each.driver == "dir")
