"""One virtiofsd for each shared directory: the host's side of `-v`.

The rule: the daemon sees the shared directory or the one shared file and nothing beside it, through mounts of
its own; read-only is the mount's word, not the guest's. Without root it runs in a user namespace where its
user is root. It ends with the VMM: its only connection is the VMM's.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firkin.aio.child import STOP, Child
from firkin.errors import FirkinError, HostUnsupported, UsageError
from firkin.linux import fork, mounts, unix_socket
from firkin.linux.sink import Sink
from firkin.machine.spec import Share
from firkin.settings import Settings

_PLACES = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd")
"""Debian 13's and Fedora's (Rust), Debian 12's (C, of QEMU's own tree), Arch's."""
_HINT = (
    "without root this needs user namespaces: sysctl user.max_user_namespaces, and on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns=0"
)


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


@dataclass(slots=True)
class Daemon:
    """A running virtiofsd. `connection` is for the VMM to inherit; whoever starts it closes ours."""

    share: Share
    child: Child
    complaints: Sink
    connection: socket.socket

    def failure(self, machine: str) -> FirkinError | None:
        """Why it ended, where it did so by itself and with an error."""
        if not self.child.poll():
            return None
        reason = (
            self.complaints.text().splitlines() or [f"virtiofsd ended with status {self.child.status}"]
        )[-1]
        return HostUnsupported(
            f"cannot share {self.share.source} with machine {machine!r}: {reason}",
            hint=_HINT,
        )

    def abort(self) -> None:
        """End it at once: the machine that it was for never came to be."""
        self.child.abort()
        self.complaints.close()
        self.connection.close()

    async def stop(self) -> None:
        """End it. May be called twice."""
        await self.child.stop(STOP)
        self.complaints.close()


def find_program(settings: Settings) -> Program:
    """The virtiofsd of this host. Raises HostUnsupported where there is none."""
    names = [settings.virtiofsd] if settings.virtiofsd else [*_PLACES, "virtiofsd"]
    for name in names:
        if path := shutil.which(name):
            return Program(path, rust=not _is_of_qemus_tree(path))
    raise HostUnsupported(
        f"sharing a directory needs virtiofsd, and {names[0] if len(names) == 1 else 'it'} was not found",
        hint="sudo apt install virtiofsd (Debian 13, Ubuntu 24.04) or qemu-system-common (Debian 12)",
    )


def start_daemon(
    program: Program, share: Share, index: int, run_dir: Path, *, dies_with_parent: bool
) -> Daemon:
    """A virtiofsd that serves `share`, connected. Raises UsageError for a source that is not there,
    HostUnsupported.
    """
    source = str(share.source)
    if not os.path.exists(source):
        raise UsageError(f"cannot share {source}: it does not exist", hint="make it first")
    socket_path = run_dir / f"share{index}.sock"
    view = run_dir / f"share{index}"
    view.mkdir(mode=0o700, exist_ok=True)
    complaints = Sink(f"virtiofsd {share.tag}")
    try:
        with unix_socket.listen(socket_path, backlog=1) as listener:
            launch = fork.Launch(
                program.argv(listener.fileno(), str(view)),
                {"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                *(complaints.fd,) * 3,
                fds=(listener.fileno(),),
                dies_with_parent=dies_with_parent,
                prepare=_view(source, str(view), read_only=share.readonly),
            )
            pid, pidfd = fork.start(launch)
            connection = unix_socket.connect(socket_path)
    except OSError as error:
        complaints.close()
        raise HostUnsupported(f"cannot share {source}: {error.strerror}", hint=_HINT) from error
    finally:
        socket_path.unlink(missing_ok=True)
    return Daemon(share, Child(pid, pidfd), complaints, connection)


def _view(source: str, at: str, *, read_only: bool) -> Callable[[], None]:
    uid, gid = os.geteuid(), os.getegid()

    def enter() -> None:
        mounts.enter_private_mounts(uid, gid)
        mounts.show(source, at, read_only=read_only)

    return enter


def _is_of_qemus_tree(path: str) -> bool:
    """The C daemon lies in QEMU's own directory; elsewhere it is the Rust one, which took over its name."""
    return os.path.realpath(path).startswith("/usr/lib/qemu/")
