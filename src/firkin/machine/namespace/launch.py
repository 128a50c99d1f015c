"""The start of a namespace: the launcher runs, and the users of its PID 1 are mapped.

    launcher ──► PID 1's pid ──► we map it ──► go ──► PID 1 builds its root and serves agent.sock
                                               with descriptors of its container's control groups

The rule: whatever fails leaves no process and no descriptor. Why PID 1 could not begin is read from its tie.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from firkin.errors import HostUnsupported
from firkin.events import event
from firkin.linux import fork, mounts, spawn, unix_socket, user_namespace
from firkin.linux.cgroup.group import Group
from firkin.linux.sink import Sink
from firkin.machine.initramfs import agent_path
from firkin.machine.namespace.failure import failure
from firkin.machine.namespace.spec import NamespaceSpec
from firkin.machine.qemu.files import AGENT_SOCKET
from firkin.machine.spec import PublishedPort
from firkin.network.publish import claim_ports

if TYPE_CHECKING:
    from firkin.machine.launch import Lifetime

_PID = struct.Struct("=I")
_REPORT_BYTES = 512
_GO = b"g"
_PATIENCE_S = 30.0


class StartedNamespace(msgspec.Struct, frozen=True, kw_only=True):
    """The launcher of namespace `name`, its PID 1, and all that their owner holds of them."""

    name: str
    pid: int
    """PID 1's, in our pid namespace."""
    pidfd: int
    launcher: int
    launcher_fd: int
    run_dir: Path
    tie: socket.socket
    complaints: Sink
    ports: tuple[PublishedPort, ...]
    boot_timeout_s: float
    group: Group | None = None

    def abort(self) -> None:
        """End it at once: it is gone, and nothing is held of it, when this returns; its group stays."""
        fork.end(self.launcher, self.launcher_fd)  # with which PID 1 ends
        select.select([self.pidfd], [], [], _PATIENCE_S)
        os.close(self.pidfd)
        self.tie.close()
        self.complaints.close()


def launch(
    spec: NamespaceSpec,
    *,
    run_dir: Path,
    lifetime: Lifetime,
    alive_fd: int | None,
    group: Group | None = None,
) -> StartedNamespace:
    """A namespace, for a Namespace to take over. With lifetime `owner` it ends with the thread that started
    it; PID 1 inherits `alive_fd`, and lets the container's processes into `group`. Raises HostUnsupported,
    PortInUse, UsageError, OSError.
    """
    if spec.network is not None:
        network = msgspec.structs.replace(spec.network, ports=claim_ports(spec.network.ports))
        spec = msgspec.structs.replace(spec, network=network)
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as failed:
        complaints = Sink(f"agent {spec.name}")
        failed.callback(complaints.close)
        tie, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        failed.callback(tie.close)
        with theirs:
            launcher, launcher_fd = _spawn(spec, theirs, complaints, run_dir, lifetime, alive_fd)
        failed.callback(fork.end, launcher, launcher_fd)
        tie.settimeout(_PATIENCE_S)
        pid = _first(spec, tie)
        pidfd = os.pidfd_open(pid)
        failed.callback(os.close, pidfd)
        user_namespace.write_map(pid, spec.id_map)
        with nullcontext((b"", ())) if group is None else group.doors() as (kinds, doors):
            socket.send_fds(tie, [_GO + kinds], doors)
        tie.setblocking(False)
        failed.pop_all()
    return StartedNamespace(
        name=spec.name,
        pid=pid,
        pidfd=pidfd,
        launcher=launcher,
        launcher_fd=launcher_fd,
        run_dir=run_dir,
        tie=tie,
        complaints=complaints,
        ports=() if spec.network is None else spec.network.ports,
        boot_timeout_s=spec.boot_timeout_s,
        group=group,
    )


def _spawn(
    spec: NamespaceSpec,
    theirs: socket.socket,
    complaints: Sink,
    run_dir: Path,
    lifetime: Lifetime,
    alive_fd: int | None,
) -> tuple[int, int]:
    """Start the launcher: its pid and pidfd. Raises HostUnsupported, OSError."""
    site = run_dir / "site"
    site.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as stack:
        plan_fd = os.memfd_create("plan", os.MFD_CLOEXEC)
        stack.callback(os.close, plan_fd)
        mapped = _id_mapped(stack, spec)
        os.write(plan_fd, spec.plan(site, mapped, owner=os.getpid() if lifetime == "owner" else 0))
        null_fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, null_fd)
        listening = stack.enter_context(unix_socket.listen(run_dir / AGENT_SOCKET))
        passed = (plan_fd, theirs.fileno(), listening.fileno())
        plan, tie, serving = map(str, passed)
        inherited = (*passed, *mapped.values())
        argv = (str(agent_path()), "--fd", serving, "--launch", plan, "--tie", tie)
        event("namespace.command", machine=spec.name, argv=argv)
        return spawn.start(
            spawn.Spawn(
                argv=argv,
                env={"FIRKIN_MACHINE": str(run_dir)},
                stdin_fd=null_fd,
                stdout_fd=null_fd,
                stderr_fd=complaints.fd,
                fds=inherited if alive_fd is None else (*inherited, alive_fd),
            )
        )


def _id_mapped(stack: ExitStack, spec: NamespaceSpec) -> dict[int, int]:
    """Descriptors of the mounts that are idmapped, by their numbers, until `stack` ends. Raises
    HostUnsupported.
    """
    if not spec.idmapped:
        return {}
    namespace_fd = user_namespace.create(spec.id_map)
    stack.callback(os.close, namespace_fd)
    found = {}
    for number in sorted(spec.idmapped):
        try:
            found[number] = mounts.id_mapped(spec.binds[number], namespace_fd)
        except OSError as error:
            raise HostUnsupported(
                f"cannot map the ids of {spec.binds[number]}: {error}",
                hint="it needs root, Linux 5.12 and a file system that can; U gives the files away instead",
            ) from error
        stack.callback(os.close, found[number])
    return found


def _first(spec: NamespaceSpec, tie: socket.socket) -> int:
    """PID 1's pid, by the launcher's word. Raises HostUnsupported."""
    try:
        said = tie.recv(_REPORT_BYTES)
    except TimeoutError:
        said = b""
    if len(said) == _PID.size:
        return int(_PID.unpack(said)[0])
    raise failure(spec.name, said) or HostUnsupported(
        f"the namespace of {spec.name!r} did not begin", hint="`firkin doctor` looks for the reason"
    )
