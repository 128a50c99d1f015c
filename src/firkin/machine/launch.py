"""The VMM's start: what it inherits, the walls around it, its daemons, and the Machine that owns them.

The rule: whatever fails leaves no process and no descriptor; nothing is waited for but the VMM's exec.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from firkin.aio.child import Child
from firkin.errors import HostUnsupported
from firkin.events import event
from firkin.linux import fork, landlock, unix_socket
from firkin.linux.sink import Sink
from firkin.machine.console import Console
from firkin.machine.qemu import confinement
from firkin.machine.qemu.command import Accelerator, DiskFds, Inherited, command
from firkin.machine.qemu.confinement import Confinement
from firkin.machine.qemu.machine import AGENT_SOCKET, CONSOLE_FIFO, CONSOLE_LOG, QMP_SOCKET, Machine
from firkin.machine.spec import Disk, MachineSpec
from firkin.network.publish import claim_ports
from firkin.settings import Settings

if TYPE_CHECKING:
    from firkin.machine.virtiofs import Daemon

Lifetime = Literal["owner", "detached"]
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
"""QEMU's own: nothing of the caller's environment is its business. FIRKIN_MACHINE, for people who look at
processes, is added."""


class Prepared(msgspec.Struct, frozen=True):
    """Everything that a start needs to know and that costs time to find out, without anything started."""

    qemu: str
    kernel_path: Path
    initramfs_path: Path
    accelerator: Accelerator
    cmdline: str


def launch(
    spec: MachineSpec,
    prepared: Prepared,
    settings: Settings,
    dir: Path,
    run_dir: Path,
    lifetime: Lifetime,
    alive_fd: int | None,
) -> Machine:
    """A machine whose VMM runs; the caller stops or releases it. Raises what machine.boot raises, and
    OSError.
    """
    spec = msgspec.structs.replace(spec, ports=claim_ports(spec.ports))
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as failed:
        console = Console(run_dir / CONSOLE_FIFO, dir / CONSOLE_LOG)
        failed.callback(console.close)
        complaints = Sink(f"qemu {spec.name}")
        failed.callback(complaints.close)
        daemons = []
        for daemon in _share_daemons(spec, settings, run_dir, lifetime):
            failed.callback(daemon.abort)
            daemons.append(daemon)
        with _inherited(spec, prepared, console, daemons, run_dir, alive_fd) as inherited:
            vmm, walls = _spawn(spec, prepared, inherited, complaints, run_dir, lifetime)
        failed.pop_all()
    return Machine(
        spec.name,
        vmm,
        accelerator=prepared.accelerator,
        ports=spec.ports,
        run_dir=run_dir,
        console=console,
        complaints=complaints,
        daemons=daemons,
        confinement=walls,
        boot_timeout_s=spec.boot_timeout_s,
    )


def _share_daemons(
    spec: MachineSpec, settings: Settings, run_dir: Path, lifetime: Lifetime
) -> Iterator[Daemon]:
    """The daemons of the machine's shares, started one by one. Raises HostUnsupported, UsageError."""
    if not spec.shares:
        return
    from firkin.machine.virtiofs import find_program, start_daemon

    program = find_program(settings)
    for index, share in enumerate(spec.shares):
        yield start_daemon(program, share, index, run_dir, dies_with_parent=lifetime == "owner")


@contextmanager
def _inherited(
    spec: MachineSpec,
    prepared: Prepared,
    console: Console,
    daemons: Sequence[Daemon],
    run_dir: Path,
    alive_fd: int | None,
) -> Iterator[Inherited]:
    """The descriptors for the VMM, closed on our side at the end of the block. Raises OSError."""
    with ExitStack() as stack:

        def keep(fd: int) -> int:
            stack.callback(os.close, fd)
            return fd

        def opened(path: Path, *, readonly: bool = True) -> int:
            return keep(os.open(path, (os.O_RDONLY if readonly else os.O_RDWR) | os.O_CLOEXEC))

        def disk_fds(disk: Disk) -> DiskFds:
            backing_fd = opened(disk.backing) if disk.backing is not None else None
            return DiskFds((opened(disk.path, readonly=disk.readonly),), backing_fd)

        yield Inherited(
            kernel_fd=opened(prepared.kernel_path),
            initramfs_fd=opened(prepared.initramfs_path),
            console_fds=tuple(map(keep, console.vmm_fds())),
            agent_fd=stack.enter_context(unix_socket.listen(run_dir / AGENT_SOCKET)).fileno(),
            qmp_fd=stack.enter_context(unix_socket.listen(run_dir / QMP_SOCKET)).fileno(),
            disks=tuple(map(disk_fds, spec.disks)),
            shares=tuple(stack.enter_context(daemon.connection).fileno() for daemon in daemons),
            alive_fd=alive_fd,
        )


def _spawn(
    spec: MachineSpec,
    prepared: Prepared,
    inherited: Inherited,
    complaints: Sink,
    run_dir: Path,
    lifetime: Lifetime,
) -> tuple[Child, Confinement]:
    """Start QEMU behind its walls. Raises OSError."""
    argv = command(prepared.qemu, spec, inherited, prepared.accelerator, prepared.cmdline)
    event("machine.command", machine=spec.name, argv=argv)
    who = confinement.credentials(spec, run_dir, prepared.accelerator)
    version = landlock.abi()
    uid = os.geteuid() if who is None else who.uid
    walls = Confinement(uid, version, reaches_loopback=bool(spec.ports))
    event("machine.confined", machine=spec.name, uid=uid, landlock_abi=version, missing=walls.missing)
    with ExitStack() as stack:
        null_fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, null_fd)
        ruleset_fd = confinement.ruleset(version, prepared.qemu, spec, inherited, prepared.accelerator)
        if ruleset_fd is not None:
            stack.callback(os.close, ruleset_fd)
        vmm = fork.Launch(
            argv,
            _ENVIRONMENT | {"FIRKIN_MACHINE": str(run_dir)},
            null_fd,
            null_fd,
            complaints.fd,
            fds=inherited.all(),
            dies_with_parent=lifetime == "owner",
            credentials=who,
            landlock_fd=ruleset_fd,
        )
        try:
            pid, pidfd = fork.start(vmm)
        except PermissionError as error:
            raise HostUnsupported(
                f"cannot run {prepared.qemu} for machine {spec.name!r} as uid {uid}: {error.strerror}",
                hint="QEMU never runs as root: put it where every user can run it",
            ) from error
    return Child(pid, pidfd), walls
