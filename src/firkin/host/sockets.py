"""Sockets and pid files that outlived who made them.

The rule: nothing is woken. A socket that the kernel lists as bound is not connected to (systemd would start
its service); of the others one connection asks whether somebody is there.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from firkin.faults import files
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker

_MOST = 500
_MAX_TABLE_BYTES = 8 << 20


class Facts(msgspec.Struct, frozen=True):
    stale: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    pid_files: tuple[tuple[str, int], ...] = ()
    """Those whose process is gone, with its number."""


def gather(asker: Asker) -> Facts:
    candidates = _candidates(asker)
    known = _bound()
    return Facts(
        stale=tuple(str(path) for path in candidates if str(path) not in known and _is_dead(path)),
        linked=tuple(str(path) for path in candidates if path.is_symlink()),
        pid_files=tuple(_stale_pid_files(asker)),
    )


def _candidates(asker: Asker) -> list[Path]:
    """What is there under the names of sockets that we or podman make."""
    run = asker.settings.paths.run
    directories = [run, *(run / "c" / name for name in reading.names(run / "c", _MOST))]
    if named := asker.environ.get("XDG_RUNTIME_DIR"):
        directories.append(Path(named) / "podman")
    found = [each / name for each in directories for name in reading.names(each) if name.endswith(".sock")]
    return found[:_MOST]


def _bound() -> set[str]:
    """The paths in proc_net(5)'s table of unix sockets."""
    lines = (reading.text("/proc/net/unix", _MAX_TABLE_BYTES) or "").splitlines()
    rows = (line.split(None, 7) for line in lines)
    return {row[7] for row in rows if len(row) == 8}


def _is_dead(path: Path) -> bool:
    """Whether `path` is a socket that nobody listens on."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
            sock.connect(str(path))
    except ConnectionRefusedError:
        return True
    except OSError:  # its server is busy, its path too long, or it is not ours
        return False
    return False


def _stale_pid_files(asker: Asker) -> Iterator[tuple[str, int]]:
    named = asker.environ.get("XDG_RUNTIME_DIR")
    places = [Path(named) / "libpod/tmp"] if named else []
    for place in (
        *places,
        Path(f"/tmp/podman-run-{asker.uid}/libpod/tmp"),
        Path(f"/tmp/run-{asker.uid}/libpod/tmp"),
    ):
        pid = reading.number(place / "pause.pid")
        if pid is not None and not os.path.exists(f"/proc/{pid}"):
            yield str(place / "pause.pid"), pid


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    for path in facts.linked[:1]:
        yield files.SOCKET_LINKED.found(f"{path} is a link, where a socket is to be made", path=path)
    for path in facts.stale[:1]:
        more = f", and {len(facts.stale) - 1} more" if len(facts.stale) > 1 else ""
        yield files.SOCKET_STALE.found(f"nobody listens on {path}{more}", path=facts.stale[:10])
    for path, pid in facts.pid_files:
        yield files.PID_FILE_STALE.found(f"{path} names process {pid}, which is gone", path=path)
