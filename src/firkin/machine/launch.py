"""The VMM's start: what it inherits, the walls around it, and its daemons.

The rule: whatever fails leaves no process and no descriptor; nothing is waited for but the VMM's exec.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from firkin.errors import HostUnsupported
from firkin.events import event
from firkin.linux import fork, landlock, seccomp, unix_socket
from firkin.linux.sink import Sink
from firkin.machine.console import Console
from firkin.machine.held_disk import hold, read_shared
from firkin.machine.origin import Cold, Origin, Restored
from firkin.machine.qemu import confinement
from firkin.machine.qemu.command import Accelerator, DiskFds, Inherited, command
from firkin.machine.qemu.confinement import Confinement
from firkin.machine.qemu.files import AGENT_SOCKET, CONSOLE_FIFO, CONSOLE_LOG, QMP_SOCKET, card_socket
from firkin.machine.qemu.incoming import begin
from firkin.machine.spec import Disk, MachineSpec
from firkin.machine.started import Started
from firkin.network.publish import claim_ports
from firkin.settings import Settings

if TYPE_CHECKING:
    from firkin.machine.virtiofs import Daemon

Lifetime = Literal["owner", "detached"]
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
"""QEMU's own: nothing of the caller's environment is its business. FIRKIN_MACHINE, for people who look at
processes, is added."""


class Vmm(msgspec.Struct, frozen=True):
    """The program that runs machines, and what makes them fast here."""

    qemu: str
    accelerator: Accelerator


def launch(
    spec: MachineSpec,
    program: Vmm,
    origin: Origin,
    settings: Settings,
    dir: Path,
    run_dir: Path,
    lifetime: Lifetime,
    alive_fd: int | None,
) -> Started:
    """The machine's VMM, running: for the caller to make a Machine of, or to abort. Raises what machine.boot
    raises, and OSError.
    """
    spec = msgspec.structs.replace(spec, ports=claim_ports(spec.ports))
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as failed:
        # What the supervisor says on standard error is nobody's.
        boot_log = "" if (spec.knobs.boot_log, lifetime) == ("-", "detached") else spec.knobs.boot_log
        console = Console(run_dir / CONSOLE_FIFO, dir / CONSOLE_LOG, boot_log)
        failed.callback(console.close)
        complaints = Sink(f"qemu {spec.name}")
        failed.callback(complaints.close)
        daemons = []
        for daemon in _share_daemons(spec, settings, run_dir, lifetime):
            failed.callback(daemon.abort)
            daemons.append(daemon)
        with _inherited(spec, origin, console, daemons, run_dir, alive_fd) as inherited:
            pid, pidfd, walls = _spawn(spec, program, origin, inherited, complaints, run_dir, lifetime)
            failed.callback(fork.end, pid, pidfd)
            incoming = None
            if inherited.state_fd is not None:
                incoming = begin(run_dir / QMP_SOCKET, inherited.state_fd, announces=spec.cards == 0)
        failed.pop_all()
    return Started(
        name=spec.name,
        pid=pid,
        pidfd=pidfd,
        accelerator=program.accelerator,
        ports=spec.ports,
        run_dir=run_dir,
        console=console,
        complaints=complaints,
        daemons=tuple(daemons),
        confinement=walls,
        cards=spec.cards,
        boot_timeout_s=spec.boot_timeout_s,
        incoming=incoming,
        forked=isinstance(origin, Restored),
        template_path=origin.template_path if isinstance(origin, Restored) else None,
    )


def _share_daemons(
    spec: MachineSpec, settings: Settings, run_dir: Path, lifetime: Lifetime
) -> Iterator[Daemon]:
    """The daemons of the machine's shares, started one by one. Raises HostUnsupported, UsageError."""
    if not spec.shares:
        return
    from firkin.machine.virtiofs import start_daemon
    from firkin.machine.virtiofsd import find_program

    program = find_program(settings)
    for index, share in enumerate(spec.shares):
        yield start_daemon(program, share, index, run_dir, dies_with_parent=lifetime == "owner")


@contextmanager
def _inherited(
    spec: MachineSpec,
    origin: Origin,
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
            if disk.held_as:
                return DiskFds(keep(hold(disk)))
            base = opened(disk.backing) if disk.backing is not None else None
            if base is not None and disk.backing_held_as:
                read_shared(base, disk.backing_held_as)
            return DiskFds(opened(disk.path, readonly=disk.readonly), tuple(map(opened, disk.layers)), base)

        memory_path = origin.memory_path
        yield Inherited(
            kernel_fd=opened(origin.kernel_path),
            initramfs_fd=opened(origin.initramfs_path) if isinstance(origin, Cold) else None,
            memory_fd=opened(memory_path, readonly=not origin.keeps_memory) if memory_path else None,
            state_fd=opened(origin.state_path) if isinstance(origin, Restored) else None,
            console_fds=tuple(map(keep, console.vmm_fds())),
            agent_fd=stack.enter_context(unix_socket.listen(run_dir / AGENT_SOCKET)).fileno(),
            qmp_fd=stack.enter_context(unix_socket.listen(run_dir / QMP_SOCKET)).fileno(),
            disks=tuple(map(disk_fds, spec.disks)),
            cards=tuple(
                stack.enter_context(unix_socket.listen(run_dir / card_socket(number))).fileno()
                for number in range(0 if origin.peerless else spec.cards)
            ),
            shares=tuple(stack.enter_context(daemon.connection).fileno() for daemon in daemons),
            alive_fd=alive_fd,
        )


def _spawn(
    spec: MachineSpec,
    program: Vmm,
    origin: Origin,
    inherited: Inherited,
    complaints: Sink,
    run_dir: Path,
    lifetime: Lifetime,
) -> tuple[int, int, Confinement]:
    """Start QEMU behind its walls: its pid and pidfd. Raises OSError."""
    argv = command(program.qemu, spec, inherited, program.accelerator, origin)
    event("machine.command", machine=spec.name, argv=argv)
    who = confinement.credentials(spec, run_dir, program.accelerator)
    version = landlock.abi()
    uid = os.geteuid() if who is None else who.uid
    walls = Confinement(uid, version, reaches_loopback=confinement.reaches_loopback(spec))
    event("machine.confined", machine=spec.name, uid=uid, landlock_abi=version, missing=walls.missing)
    with ExitStack() as stack:
        null_fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, null_fd)
        ruleset_fd = confinement.ruleset(version, program.qemu, spec, inherited, program.accelerator)
        if ruleset_fd is not None:
            stack.callback(os.close, ruleset_fd)
        vmm = fork.Launch(
            argv,
            _ENVIRONMENT | {"FIRKIN_MACHINE": str(run_dir)},
            null_fd if inherited.memory_fd is None else inherited.memory_fd,
            null_fd,
            complaints.fd,
            fds=inherited.all(),
            dies_with_parent=lifetime == "owner",
            credentials=who,
            landlock_fd=ruleset_fd,
            seccomp_filter=seccomp.reading_only(devices=program.accelerator == "kvm"),
        )
        try:
            pid, pidfd = fork.start(vmm)
        except PermissionError as error:
            raise HostUnsupported(
                f"cannot run {program.qemu} for machine {spec.name!r} as uid {uid}: {error.strerror}",
                hint="QEMU never runs as root: put it where every user can run it",
            ) from error
    return pid, pidfd, walls
