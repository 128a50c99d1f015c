"""Leftovers: files of subordinate ids, machines without a container, run directories without one.

The rule: a bounded look. Of data the two upper levels, of processes those whose program is a VMM.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from firkin.faults import kernel
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker

_MOST = 2000
_DELETED = " (deleted)"


class Facts(msgspec.Struct, frozen=True):
    """`orphans` are (pid, the directory of the container that is gone)."""

    foreign: tuple[tuple[str, int], ...] = ()
    orphans: tuple[tuple[int, str], ...] = ()
    run_dirs: tuple[str, ...] = ()


def gather(asker: Asker) -> Facts:
    paths = asker.settings.paths
    known = {name[:12] for name in reading.names(paths.containers_dir)}
    run = paths.run / "c"
    return Facts(
        foreign=tuple(_foreign(asker)),
        orphans=tuple(_orphans(paths.containers_dir)),
        run_dirs=tuple(str(run / name) for name in reading.names(run, _MOST) if name not in known),
    )


def _foreign(asker: Asker) -> Iterator[tuple[str, int]]:
    """What lies in our data and in podman's temporary files of ids that are not this user's."""
    data = asker.settings.paths.data
    if asker.uid == 0:
        return  # what is root's to run runs as many
    looked = 0
    for directory in (data, *(data / name for name in reading.names(data))):
        for name in reading.names(directory, _MOST):
            looked += 1
            if looked > _MOST:
                return
            try:
                owner = (directory / name).lstat().st_uid
            except OSError:
                continue
            if owner not in (asker.uid, 0):
                yield str(directory / name), owner


def _orphans(containers_dir: Path) -> Iterator[tuple[int, str]]:
    """VMMs that hold a file in a container's directory that was deleted."""
    home = os.path.realpath(containers_dir)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if (reading.text(f"/proc/{pid}/comm", 64) or "").startswith("qemu-system"):
            for target in _open_files(pid):
                if target.startswith(f"{home}/") and target.endswith(_DELETED):
                    directory = home + "/" + target.removeprefix(f"{home}/").partition("/")[0]
                    if not os.path.exists(directory):
                        yield int(pid), directory
                        break


def _open_files(pid: str) -> list[str]:
    try:
        return [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
    except OSError:  # it is gone, or not ours
        return []


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    for path, owner in facts.foreign[:1]:
        more = f", and {len(facts.foreign) - 1} more" if len(facts.foreign) > 1 else ""
        yield kernel.LEFTOVERS_FOREIGN.found(f"{path} belongs to uid {owner}{more}", path=path)
    for pid, directory in facts.orphans:
        yield kernel.ORPHANS.found(f"process {pid} is the machine of {directory}, which is gone", pid=pid)
    if facts.run_dirs:
        what = f"{len(facts.run_dirs)} directories of containers that are gone: {facts.run_dirs[0]}"
        yield kernel.RUN_LEFTOVERS.found(what, path=os.path.dirname(facts.run_dirs[0]))
