"""RunDirectory: where sockets live; whether it is there, ours, private and short enough."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from firkin.faults import files
from firkin.faults.fault import Finding
from firkin.host.asker import Asker, fallback_run_dir
from firkin.linux.unix_socket import MAX_PATH_BYTES

_ID = "0" * 12


class Facts(msgspec.Struct, frozen=True):
    """`named` is what XDG_RUNTIME_DIR says; `path` the directory that is judged, of `owner` and `mode`."""

    named: str = "/run/user/1000"
    path: str = "/run/user/1000"
    real: str = "/run/user/1000"
    present: bool = True
    owner: int = 1000
    mode: int = 0o700
    sockets: tuple[str, ...] = ()
    """Every socket that we make, by path."""


def gather(asker: Asker) -> Facts:
    named = asker.environ.get("XDG_RUNTIME_DIR", "")
    path = Path(named or fallback_run_dir(asker.environ))
    sockets = tuple(map(str, socket_paths(asker)))
    try:
        status = path.stat()
    except OSError:
        return Facts(named, str(path), str(path), False, sockets=sockets)
    present = stat.S_ISDIR(status.st_mode)
    real = os.path.realpath(path)
    return Facts(named, str(path), real, present, status.st_uid, stat.S_IMODE(status.st_mode), sockets)


def socket_paths(asker: Asker) -> list[Path]:
    """The sockets that we make for ourselves and for a container, and podman's own."""
    paths = asker.settings.paths
    ours = [paths.supervisor_socket_path, paths.control_socket_path(_ID), paths.agent_socket_path(_ID)]
    ours += [paths.qmp_socket_path(_ID), paths.container_run_dir(_ID) / "share0.sock"]
    ours += [paths.container_run_dir(_ID) / "net0.sock", paths.switch_socket_path(_ID)]
    named = asker.environ.get("XDG_RUNTIME_DIR")
    return [*ours, Path(named) / "podman/podman.sock"] if named else ours


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    path, words = facts.path, {"path": facts.path, "user": asker.user, "real": facts.real}
    if not facts.named:
        yield files.RUNTIME_UNSET.found(f"XDG_RUNTIME_DIR is not set: sockets are in {path}", **words)
    elif not facts.present:
        yield files.RUNTIME_MISSING.found(f"XDG_RUNTIME_DIR names {path}, which is no directory", **words)
    if facts.present and facts.owner != asker.uid:
        yield files.RUNTIME_FOREIGN.found(
            f"{path} belongs to uid {facts.owner}, not to {asker.user}", **words
        )
    elif facts.present and facts.mode & 0o077:
        yield files.RUNTIME_OPEN.found(f"others may enter {path}: its mode is {facts.mode:04o}", **words)
    if facts.real != os.path.normpath(path):
        yield files.RUNTIME_LINKED.found(f"{path} is {facts.real} behind a link", **words)
    longest = max(facts.sockets, key=lambda each: len(os.fsencode(each)), default="")
    if (length := len(os.fsencode(longest))) > MAX_PATH_BYTES:
        what = f"{longest} has {length} bytes, and a socket's path holds {MAX_PATH_BYTES}"
        yield files.RUNTIME_LONG.found(what, **words)
