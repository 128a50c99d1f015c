"""HostDevice: a block device of this host, or a file that stands for one, which a container has as it is."""

from __future__ import annotations

from pathlib import Path

import msgspec

from firkin.machine.spec import Disk


class HostDevice(msgspec.Struct, frozen=True, kw_only=True):
    """What is at `path` on this host, at `target` in the container. From `device` on it is what examined()
    found there.
    """

    path: str
    target: str
    readonly: bool = False
    device: bool = True
    """Whether it is a block device, and no file."""
    mode: int = 0o660
    """Of its node in the container, as of the one here."""
    uid: int = 0
    gid: int = 0

    @property
    def called(self) -> str:
        return f"device {self.path}"

    @property
    def disk(self) -> Disk:
        """It as a disk for a machine."""
        return Disk(
            path=Path(self.path),
            format="raw",
            readonly=self.readonly,
            held_as=self.called,
            on_device=self.device,
            as_it_is=True,
        )
