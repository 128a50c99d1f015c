"""From a MachineSpec to a running Machine: gather what the VMM inherits, start it, hand it over.

The rule: nothing is waited for before the VMM runs, and whatever fails leaves no process and no descriptor.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from firkin.aio.child import Child
from firkin.errors import FirkinError, HostUnsupported, MachineDied, UsageError
from firkin.events import event, stage
from firkin.linux import fork, landlock, unix_socket
from firkin.linux.sink import Sink
from firkin.machine import vmlinux
from firkin.machine.accelerator import choose_accelerator
from firkin.machine.artifacts import artifact, stamp
from firkin.machine.console import Console
from firkin.machine.initramfs import Contents, agent_path, initramfs_path
from firkin.machine.kernel import Kernel, choose_kernel
from firkin.machine.qemu import confinement
from firkin.machine.qemu.command import Accelerator, DiskFds, Inherited, command, kernel_cmdline
from firkin.machine.qemu.confinement import Confinement
from firkin.machine.qemu.devices import escaped
from firkin.machine.qemu.machine import AGENT_SOCKET, CONSOLE_FIFO, CONSOLE_LOG, QMP_SOCKET, Machine
from firkin.machine.spec import Disk, MachineSpec, PublishedPort
from firkin.machine.tsc import tsc_khz
from firkin.network.publish import claim_ports
from firkin.settings import Settings
from firkin.wire.frames import NONCE_BYTES, Sync, encode

if TYPE_CHECKING:
    from firkin.machine.virtiofs import Daemon

Lifetime = Literal["owner", "detached"]
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_KVM_TRIAL_S = 10.0
_MIN_MEMORY_BYTES = 64 << 20
_MAX_CPUS = 288  # QEMU's bound for microvm
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


@asynccontextmanager
async def boot(
    spec: MachineSpec,
    *,
    settings: Settings,
    dir: Path,
    run_dir: Path,
    lifetime: Lifetime = "owner",
    alive_fd: int | None = None,
) -> AsyncIterator[Machine]:
    """A machine whose VMM has started; await `machine.booted(client.start(...))` for its agent.

    `dir` takes console.log, `run_dir` (0700, made when missing) the sockets. With lifetime `owner` the
    machine ends with this block, and with the thread that started it however that ends; with `detached` it
    lives on and the block's end only lets go of it. The VMM inherits `alive_fd`, so a flock on it is held as
    long as the VMM lives.

    Raises HostUnsupported (no QEMU, no kernel, no KVM where it was demanded), PortInUse, UsageError for a
    spec that QEMU cannot build, BootFailed.
    """
    machine: Machine | None = None
    try:
        with stage("machine.start", machine=spec.name):
            machine = await _start(spec, settings, dir, run_dir, lifetime, alive_fd)
        yield machine
    finally:
        if machine is not None:
            await (machine.stop() if lifetime == "owner" else machine.release())


def adopt(
    name: str,
    *,
    pid: int,
    accelerator: Accelerator,
    ports: tuple[PublishedPort, ...],
    dir: Path,
    run_dir: Path,
) -> Machine:
    """The detached machine that somebody else started and no longer owns; the caller owns it now.

    Raises MachineDied where process `pid` is gone, or is not the VMM of machine `name`.
    """
    gone = MachineDied(f"machine {name!r} is gone: process {pid} is not its VMM", hint="`firkin rm` tidies")
    try:
        vmm = Child.adopt(pid)
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError as error:
        raise gone from error
    if f"guest={escaped(name)}".encode() not in argv:
        vmm.close()
        raise gone
    console = Console(run_dir / CONSOLE_FIFO, dir / CONSOLE_LOG)
    return Machine(name, vmm, accelerator=accelerator, ports=ports, run_dir=run_dir, console=console)


async def _start(
    spec: MachineSpec, settings: Settings, dir: Path, run_dir: Path, lifetime: Lifetime, alive_fd: int | None
) -> Machine:
    try:
        prepared = await prepare(spec, settings)
        return _launch(spec, prepared, settings, dir, run_dir, lifetime, alive_fd)
    except OSError as error:
        raise HostUnsupported(
            f"cannot start machine {spec.name!r}: {error}", hint="see firkin info"
        ) from error


def _launch(
    spec: MachineSpec,
    prepared: Prepared,
    settings: Settings,
    dir: Path,
    run_dir: Path,
    lifetime: Lifetime,
    alive_fd: int | None,
) -> Machine:
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


async def prepare(spec: MachineSpec, settings: Settings) -> Prepared:
    """Find QEMU, the kernel, the initramfs and the accelerator. Raises HostUnsupported, UsageError, OSError.
    """
    _check(spec)
    qemu = shutil.which(settings.qemu)
    if qemu is None:
        raise HostUnsupported(
            f"there is no QEMU: {settings.qemu} was not found", hint="sudo apt install qemu-system-x86"
        )
    cache_dir, kernel, agent = settings.paths.cache_dir, choose_kernel(settings), agent_path()
    contents = Contents(agent, kernel, network=spec.network != "none", shares=bool(spec.shares))
    host = (os.uname().release, Path(_BOOT_ID).read_text().strip())
    on_kvm = Prepared(
        qemu, _bootable(kernel, cache_dir), initramfs_path(contents, cache_dir), "kvm", kernel_cmdline("kvm")
    )
    programs = (*host, stamp(Path(qemu)), stamp(kernel.path), stamp(agent))
    verdict = await choose_accelerator(settings, programs, lambda: _kvm_trial(on_kvm, settings))
    if verdict.notice:
        event("machine.notice", machine=spec.name, text=verdict.notice)
    if verdict.accelerator == "kvm":
        return on_kvm
    cmdline = kernel_cmdline("tcg", tsc_khz=tsc_khz(cache_dir, host[1]))
    return msgspec.structs.replace(on_kvm, accelerator="tcg", cmdline=cmdline)


async def _kvm_trial(prepared: Prepared, settings: Settings) -> bool:
    """Whether a machine on KVM reaches its agent: the smallest one, thrown away afterwards."""
    from tempfile import TemporaryDirectory

    spec = MachineSpec(name="kvm-trial", memory_bytes=128 << 20, network="none", boot_timeout_s=_KVM_TRIAL_S)
    Path(settings.run_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="kvm-trial-", dir=settings.run_dir) as name:
        directory = Path(name)
        machine = _launch(spec, prepared, settings, directory, directory, "owner", None)
        try:
            await machine.booted(_first_answer(machine))
        except FirkinError:
            return False  # choose_accelerator tells the user, and uses TCG
        finally:
            await machine.stop()
    return True


async def _first_answer(machine: Machine) -> None:
    """Any answer of the agent to a SYNC. Raises MachineDied for a connection that ends instead."""
    loop = asyncio.get_running_loop()
    with machine.open_agent() as sock:
        await loop.sock_sendall(sock, encode(Sync(nonce=os.urandom(NONCE_BYTES))))
        if not await loop.sock_recv(sock, 1):
            raise MachineDied(f"machine {machine.name!r} hung up", hint="see its console.log")


def _bootable(kernel: Kernel, cache_dir: Path) -> Path:
    """The kernel as QEMU starts it fastest, readable by whomever QEMU runs as. Raises Corrupt, OSError."""

    def make() -> bytes:
        image = kernel.path.read_bytes()
        return vmlinux.extract(image) or image

    return artifact(cache_dir, "vmlinux", (stamp(kernel.path),), make)


def _check(spec: MachineSpec) -> None:
    if spec.memory_bytes < _MIN_MEMORY_BYTES:
        raise UsageError(
            f"machine {spec.name!r} cannot start with {spec.memory_bytes >> 20} MiB of memory",
            hint=f"give it at least {_MIN_MEMORY_BYTES >> 20} MiB",
        )
    if not 1 <= spec.cpus <= _MAX_CPUS:
        raise UsageError(
            f"machine {spec.name!r} cannot have {spec.cpus} CPUs", hint=f"give it 1 to {_MAX_CPUS}"
        )


def _share_daemons(
    spec: MachineSpec, settings: Settings, run_dir: Path, lifetime: Lifetime
) -> Iterator[Daemon]:
    """The running daemons of the machine's shares, one after the other. Raises HostUnsupported, UsageError.
    """
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
            shares=tuple(keep(daemon.vmm_fd) for daemon in daemons),
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
        launch = fork.Launch(
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
            pid, pidfd = fork.start(launch)
        except PermissionError as error:
            raise HostUnsupported(
                f"cannot run {prepared.qemu} for machine {spec.name!r} as uid {uid}: {error.strerror}",
                hint="QEMU never runs as root: put it where every user can run it",
            ) from error
    return Child(pid, pidfd), walls
