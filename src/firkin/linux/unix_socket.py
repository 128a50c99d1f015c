"""Unix sockets by path, however long the path: sun_path holds 107 bytes, a descriptor's link in /proc fewer.

The rule: a socket is born 0600, whoever may come later.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_PATH_BYTES = 107


def listen(path: Path, backlog: int = 16) -> socket.socket:
    """A listening stream socket at `path`, replacing a stale one. Its directory is the caller's, 0700.

    Raises OSError; a directory that cannot be opened, or a name that does not fit either way, among them.
    """
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bind(sock, path)
        os.chmod(path, 0o600)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def bind(sock: socket.socket, path: Path) -> None:
    """Bind `sock` to `path`. Raises OSError: EADDRINUSE where something is there."""
    with _address(path) as address:
        sock.bind(address)


def connect(path: Path) -> socket.socket:
    """A connected stream socket. Raises OSError: ECONNREFUSED where nobody listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(path) as address:
            sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


@contextmanager
def _address(path: Path) -> Iterator[str]:
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        yield str(path)
        return
    directory_fd = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory_fd}/{path.name}"
    finally:
        os.close(directory_fd)
