"""The virtiofsd of this host: where it lies, and which of the two dialects of options it has."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from firkin.errors import HostUnsupported
from firkin.settings import Settings

_PLACES = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd")
"""Debian 13's and Fedora's (Rust), Debian 12's (C, of QEMU's own tree), Arch's."""


@dataclass(frozen=True, slots=True)
class Program:
    """A virtiofsd and which of the two dialects of options it has."""

    path: str
    rust: bool

    def argv(self, listen_fd: int, directory: str) -> list[str]:
        """Its command line. Descriptors are bounded by the caller's own limit, which it inherits."""
        common = [self.path, f"--fd={listen_fd}", "--rlimit-nofile=0"]
        if self.rust:
            alone = ["--sandbox=chroot", "--inode-file-handles=never"]
            return [*common, f"--shared-dir={directory}", "--xattr", "--log-level=error", *alone]
        options = f"source={directory},sandbox=namespace,cache=auto,xattr,log_level=err,announce_submounts"
        return [*common, "-f", "-o", options]


def find_program(settings: Settings) -> Program:
    """The virtiofsd of this host. Raises HostUnsupported where there is none."""
    names = [settings.virtiofsd] if settings.virtiofsd else [*_PLACES, "virtiofsd"]
    for name in names:
        if path := shutil.which(name):
            return Program(path, rust=not _is_of_qemus_tree(path))
    from firkin.faults.machines import VIRTIOFSD_MISSING

    raise HostUnsupported(
        f"sharing a directory needs virtiofsd, and {names[0] if len(names) == 1 else 'it'} was not found",
        hint=VIRTIOFSD_MISSING.hint(),
    )


def _is_of_qemus_tree(path: str) -> bool:
    """The C daemon lies in QEMU's own directory; elsewhere it is the Rust one, which took over its name."""
    return os.path.realpath(path).startswith("/usr/lib/qemu/")
