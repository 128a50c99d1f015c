"""Started: a VMM that runs, and that no event loop knows yet.

The rule: starting one waits for nothing and needs no event loop, so whoever has to make haste starts it first
and loads what it takes to talk to it while the VMM is at its own beginning.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from firkin.linux import fork
from firkin.linux.sink import Sink
from firkin.machine.console import Console
from firkin.machine.qemu.command import Accelerator
from firkin.machine.qemu.confinement import Confinement
from firkin.machine.spec import PublishedPort

if TYPE_CHECKING:
    from firkin.machine.virtiofs import Daemon


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The VMM of machine `name`, and all that its owner holds of it.

    A Machine takes it over; until then whoever has it ends it with abort(), or dies, with which it ends too.
    `ours` is whether this process started it.
    """

    name: str
    pid: int
    pidfd: int
    accelerator: Accelerator
    ports: tuple[PublishedPort, ...]
    run_dir: Path
    console: Console
    ours: bool = True
    complaints: Sink | None = None
    daemons: tuple[Daemon, ...] = ()
    confinement: Confinement | None = None
    boot_timeout_s: float = 60.0
    incoming: socket.socket | None = None
    """The connection on which a fork is told what to become."""
    cards: int = 0
    """Of private networks, those that are spare among them."""
    forked: bool = False
    template_path: Path | None = None

    def abort(self) -> None:
        """End it at once: it is gone, and nothing is held of it, when this returns."""
        fork.end(self.pid, self.pidfd)
        for daemon in self.daemons:
            daemon.abort()
        for held in (self.incoming, self.complaints, self.console):
            if held is not None:
                held.close()
