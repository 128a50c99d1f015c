"""Origin: where a machine's memory and state come from when its VMM starts.

Cold       nowhere: a kernel boots. With a `memory_path` the guest's memory is that file, to be saved later
Restored   two files that were saved
Mirror     another machine, which migrates into a memory file; it never runs
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import msgspec


class Cold(msgspec.Struct, frozen=True):
    """A kernel, its initramfs and its command line."""

    kernel_path: Path
    initramfs_path: Path
    cmdline: str
    memory_path: Path | None = None

    @property
    def keeps_memory(self) -> bool:
        """Whether what the guest writes to its memory is in the file."""
        return self.memory_path is not None

    @property
    def peerless(self) -> bool:
        """Whether its network card leads nowhere: what is saved then may be given any network."""
        return self.memory_path is not None


class Restored(msgspec.Struct, frozen=True):
    """The memory and the state of a machine that was saved; the memory's file is only read."""

    kernel_path: Path
    """The stub."""
    memory_path: Path
    state_path: Path
    template_path: Path | None = None
    """The template that they are of, where they are of one."""
    cmdline: ClassVar[str] = ""
    keeps_memory: ClassVar[bool] = False
    peerless: ClassVar[bool] = False


class Mirror(msgspec.Struct, frozen=True):
    """A machine that only receives another."""

    kernel_path: Path
    """The stub."""
    memory_path: Path
    cmdline: ClassVar[str] = ""
    keeps_memory: ClassVar[bool] = True
    peerless: ClassVar[bool] = False


Origin = Cold | Restored | Mirror
