"""The walls around QEMU, beside its own seccomp filter: what it runs as, and which files it can name.

The rule: what a host cannot give is said in `Confinement.missing`, never silently left out.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import msgspec

from firkin.linux import landlock
from firkin.linux.credentials import CAP_NET_BIND_SERVICE, Credentials, can_become, unprivileged
from firkin.linux.landlock import EXECUTE, IOCTL_DEV, READ, READ_FILE, READ_WRITE, Rule
from firkin.machine.qemu.command import Accelerator, Inherited
from firkin.machine.spec import MachineSpec

_SYSTEM_DIRS = ("/usr", "/lib", "/lib32", "/lib64")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/ld.so.preload")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_KVM = "/dev/kvm"
_RESOLV_CONF = "/etc/resolv.conf"


class Confinement(msgspec.Struct, frozen=True):
    """What holds QEMU: its uid, the Landlock ABI (0: absent), its seccomp filter; and what is missing.

    `reaches_loopback`: see the function of that name.
    """

    uid: int
    landlock_abi: int
    seccomp: bool = True
    no_new_privs: bool = True
    reaches_loopback: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """One line for each wall that this host cannot give."""
        lines = []
        if self.landlock_abi == 0:
            lines.append("Landlock is absent: QEMU can open every file that its user can")
        elif self.landlock_abi < 4:
            lines.append(f"Landlock ABI {self.landlock_abi} cannot close TCP to QEMU")
        if self.uid == 0:
            lines.append("no other uid is mapped here: QEMU runs as this user namespace's root")
        if self.reaches_loopback:
            lines.append("the machine reaches services on the host's loopback: by datagrams, or as was asked")
        return tuple(lines)


def reaches_loopback(spec: MachineSpec) -> bool:
    """Whether the guest's programs have a way to the host's loopback: it was asked for, or datagram ports are
    published, which nothing tells from those that answer on them (network.guest has the guard).
    """
    return spec.host_loopback or any(port.protocol == "udp" for port in spec.ports)


def credentials(spec: MachineSpec, run_dir: Path, accelerator: Accelerator) -> Credentials | None:
    """Whom QEMU becomes where root starts it; None where it stays the unprivileged user that it is."""
    if os.geteuid() != 0:
        return None
    groups = (os.stat(_KVM).st_gid,) if accelerator == "kvm" else ()
    low = any(port.host_port < _first_unprivileged_port() for port in spec.ports)
    ambient = 1 << CAP_NET_BIND_SERVICE if low else 0
    chosen = unprivileged(zlib.crc32(os.fsencode(run_dir)), groups=groups, ambient=ambient)
    return chosen if can_become(chosen) else None


def ruleset(
    version: int, qemu: str, spec: MachineSpec, inherited: Inherited, accelerator: Accelerator
) -> int | None:
    """A descriptor of QEMU's Landlock ruleset for the kernel's ABI `version`; None for version 0. The caller
    closes it.

    Raises OSError.
    """
    if version == 0:
        return None
    if spec.network == "none":
        tcp, ports = landlock.BIND_TCP | landlock.CONNECT_TCP, []
    else:
        tcp, ports = landlock.BIND_TCP, [port.host_port for port in spec.ports if port.protocol == "tcp"]
    return landlock.create_ruleset(
        version, rules(qemu, spec, inherited, accelerator), handled_tcp=tcp, bind_ports=ports
    )


def rules(qemu: str, spec: MachineSpec, inherited: Inherited, accelerator: Accelerator) -> tuple[Rule, ...]:
    """The files that QEMU may open by name. Disks, sockets and the console it has as descriptors only."""
    files = [fd for fd in (inherited.kernel_fd, inherited.initramfs_fd) if fd is not None]
    return (
        *(Rule(path, READ | EXECUTE) for path in (*_SYSTEM_DIRS, *_prefix(qemu))),
        *(Rule(path, READ_FILE) for path in _SYSTEM_FILES),
        *(Rule(path, READ_WRITE) for path in _DEVICES),
        *(Rule(f"/proc/self/fd/{fd}", READ_FILE) for fd in files),
        *([Rule(_KVM, READ_WRITE | IOCTL_DEV)] if accelerator == "kvm" else []),
        *(_resolver_rules() if spec.network == "user" else []),
    )


def _prefix(qemu: str) -> list[str]:
    """Where a QEMU outside /usr keeps its libraries and firmware: /opt/qemu for
    /opt/qemu/bin/qemu-system-x86_64.
    """
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(qemu)))
    if prefix.startswith("/nix/store/"):
        return ["/nix/store"]
    return [] if prefix in ("/", "/usr") or prefix.startswith("/usr/") else [prefix]


def _resolver_rules() -> list[Rule]:
    """QEMU's user network reads resolv.conf again whenever it changes, and it changes by rename: so its
    directory.

    In /etc that shows what every user of the host may read, and nothing can be listed.
    """
    directories = {os.path.dirname(_RESOLV_CONF), os.path.dirname(os.path.realpath(_RESOLV_CONF))}
    return [Rule(directory, READ_FILE) for directory in sorted(directories)]


def _first_unprivileged_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except (OSError, ValueError):
        return 1024
