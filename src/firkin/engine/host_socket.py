"""HostSocket: sockets of the host's that are relayed to a container: listening ones and connected ones.

    listen()    TCP on an address of the host, or a file with its mode from its birth on; a file that nobody
                listens at any more is replaced, and anything else is refused
    connect()   to what listens there

The rule: a file that we made goes when its socket does, and nothing else does.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from firkin.errors import HostUnsupported, NotListening, PortInUse
from firkin.linux import unix_socket
from firkin.wire.sockets import LOOPBACK, Place

_BACKLOG = 64


@contextmanager
def listening(
    place: Place, *, mode: int = 0o600, uid: int | None = None, gid: int | None = None
) -> Iterator[socket.socket]:
    """A listening socket at `place` on the host. Raises PortInUse, HostUnsupported."""
    try:
        sock = _listen_at(Path(place.path), mode, uid, gid) if place.path else _listen_on(place)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"cannot listen at {place.called} on the host: it is in use",
                hint="choose another, or find who has it: ss -lntxp",
            ) from error
        raise HostUnsupported(
            f"cannot listen at {place.called} on the host: {error.strerror}",
            hint="check the address, or the mode and owner of the directory",
        ) from error
    with sock:
        sock.setblocking(False)
        made = _identity(place.path) if place.path else None
        try:
            yield sock
        finally:
            if made is not None and _identity(place.path) == made:
                os.unlink(place.path)


def place_of(sock: socket.socket, place: Place) -> Place:
    """`place` with the port that `sock` got."""
    return place if place.path else msgspec.structs.replace(place, port=sock.getsockname()[1])


async def connect(place: Place) -> socket.socket:
    """A socket connected to `place` on the host. Raises NotListening."""
    loop = asyncio.get_running_loop()
    try:
        if place.path:
            sock = await asyncio.to_thread(unix_socket.connect, Path(place.path))
            sock.setblocking(False)
            return sock
        address = place.address or LOOPBACK[0]
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, (address, place.port))
        except BaseException:
            sock.close()
            raise
        return sock
    except OSError as error:
        raise NotListening(
            f"cannot connect to {place.called} on the host: {error.strerror}", hint="start what listens there"
        ) from error


def _listen_on(place: Place) -> socket.socket:
    address = place.address or LOOPBACK[0]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, place.port), family=family, backlog=_BACKLOG)


def _listen_at(path: Path, mode: int, uid: int | None, gid: int | None) -> socket.socket:
    if _is_stale(path):
        path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    try:
        os.fchmod(sock.fileno(), mode)  # bind(2) gives the file this mode, less the umask
        unix_socket.bind(sock, path)
        try:
            if uid is not None or gid is not None:
                os.chown(path, -1 if uid is None else uid, -1 if gid is None else gid, follow_symlinks=False)
            os.chmod(path, mode)
            sock.listen(_BACKLOG)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except BaseException:
        sock.close()
        raise
    return sock


def _is_stale(path: Path) -> bool:
    """Whether it is a socket that nobody listens at any more."""
    with suppress(OSError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            try:
                unix_socket.connect(path).close()
            except ConnectionRefusedError:
                return True
    return False


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
