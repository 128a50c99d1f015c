"""One virtiofsd for each shared directory: the host's side of `-v`.

The rule: the daemon sees the shared directory or the one shared file and nothing beside it, through mounts of
its own; read-only is the mount's word, not the guest's. Without root it runs in a user namespace where its
user is root. It ends with the VMM: its only connection is the VMM's.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firkin.aio.child import STOP, Child
from firkin.errors import FirkinError, HostUnsupported, UsageError
from firkin.linux import fork, mounts, unix_socket
from firkin.linux.sink import Sink
from firkin.machine.spec import Share
from firkin.machine.virtiofsd import Program

_HINT = "without root this needs user namespaces: `firkin doctor --only user-namespaces` says what is wrong"


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
