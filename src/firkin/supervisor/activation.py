"""Activation: the listening socket that systemd made for the supervisor (sd_listen_fds(3)).

The rule: it is taken only where LISTEN_PID says that it is for this very process, and only if it is the
supervisor's own by its name. The variables go, whatever they say: no child takes them for its own.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from pathlib import Path

from firkin.errors import HostUnsupported

_FIRST_FD = 3  # SD_LISTEN_FDS_START
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


def handed_over(path: Path, environ: MutableMapping[str, str]) -> socket.socket | None:
    """The socket that is bound to `path`, where systemd hands it to this process; None where it hands none.

    Raises HostUnsupported for anything else that it hands over: nobody would answer there.
    """
    given = {name: environ.pop(name, "") for name in _VARIABLES}
    count = given["LISTEN_FDS"]
    if given["LISTEN_PID"] != str(os.getpid()) or count in ("", "0"):
        return None
    if count != "1":
        raise _refused(f"{count} sockets, and the supervisor has one", path)
    try:
        sock = socket.socket(fileno=_FIRST_FD)
    except OSError as error:
        raise _refused(f"what is no socket: {error.strerror}", path) from error
    if problem := _problem(sock, path):
        sock.detach()  # it is not ours to close
        raise _refused(problem, path)
    sock.set_inheritable(False)
    return sock


def _problem(sock: socket.socket, path: Path) -> str:
    """What it is, where it is not the supervisor's; "" where it is."""
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM or not _listens(sock):
        return "what is not a stream socket of a path that listens"
    name = os.fsdecode(sock.getsockname())
    return "" if _is_at(name, path) else f"the socket {name!r}"


def _listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _is_at(name: str, path: Path) -> bool:
    """Whether a socket's name is `path`, maybe by another way to its directory."""
    directory, base = os.path.split(name)
    try:
        return base == path.name and os.path.samefile(directory, path.parent)
    except OSError:
        return False


def _refused(what: str, path: Path) -> HostUnsupported:
    return HostUnsupported(
        f"systemd hands over {what}: not {path}",
        hint="`firkin setup` writes the unit firkin.socket, with ListenStream= of that path and no other",
    )
