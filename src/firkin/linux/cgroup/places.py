"""Places: the control groups that this process is in, and in which of them it may make others.

    version 1    a hierarchy for each controller: mountinfo tells where, /proc/self/cgroup which group is ours
    version 2    one for all: `0::/...`

The rule: a group is made inside our own, so that it never has more than whoever started it. Of version 2,
where systemd(1) runs, our own must have been delegated (Delegate=yes, told by an attribute of the directory):
in any other, systemd takes controllers away again as it sees fit, and limits with them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

import msgspec

from firkin.linux.cgroup.limits import Controller, Version

CONTROLLERS: tuple[Controller, ...] = get_args(Controller)
OURS = "firkin-host"
"""In a group of version 2 that was divided: where we are, since who hands down controllers is empty."""
_NAMES = {"blkio": "io"}
_ALWAYS: tuple[Controller, ...] = ("cpuacct", "freezer")
_DELEGATED = ("trusted.delegate", "user.delegate")
Lack = Literal["absent", "undelegated", "controllers"]
"""Why a limit cannot be held: no groups are mounted, none is ours to fill, or ours lacks that controller."""


class Places(msgspec.Struct, frozen=True):
    """Our own group for each controller under which we may make one; `version` 0: none is mounted."""

    version: Literal[0, 1, 2]
    dirs: dict[Controller, str]

    def lack(self, controller: Controller) -> Lack | None:
        """Why nothing can be limited by `controller`; None where it can."""
        if controller in self.dirs:
            return None
        return "controllers" if self.dirs else "undelegated" if self.version else "absent"


def here(root: Path = Path("/")) -> Places:
    """Where this process is now. Raises nothing: what cannot be read is not ours."""
    mounts = _mounts(root)
    groups = _groups(root)
    if any(kind == "cgroup" and known for kind, known, _, _ in mounts):
        return Places(1, _of_version_1(root, mounts, groups))
    for kind, _, base, target in mounts:
        if kind == "cgroup2" and (path := groups.get("")) is not None:
            return Places(2, _of_version_2(root, _inside(root, target, base, path)))
    return Places(0, {})


def version_of(places: Places) -> Version:
    """Of groups that there are."""
    return 1 if places.version == 1 else 2


_Mount = tuple[str, tuple[Controller, ...], str, str]
"""Its type, its controllers, what of the hierarchy it shows, and where."""


def _mounts(root: Path) -> list[_Mount]:
    found: list[_Mount] = []
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        place, kind = before.split(), after.split()
        if len(place) > 4 and kind[:1] in (["cgroup"], ["cgroup2"]):
            found.append((kind[0], _controllers(kind[-1].split(",")), place[3], place[4]))
    return found


def _controllers(names: list[str]) -> tuple[Controller, ...]:
    said = {_NAMES.get(name, name) for name in names}
    return tuple(each for each in CONTROLLERS if each in said)


def _groups(root: Path) -> dict[str, str]:
    """Our group in the hierarchy of each controller; that of version 2 has no name."""
    found = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        for name in controllers.split(","):
            found[_NAMES.get(name, name)] = path
    return found


def _of_version_1(root: Path, mounts: list[_Mount], groups: dict[str, str]) -> dict[Controller, str]:
    dirs: dict[Controller, str] = {}
    for kind, controllers, base, target in mounts:
        for controller in controllers if kind == "cgroup" else ():
            path = groups.get(controller)
            directory = None if path is None else _inside(root, target, base, path)
            if directory is not None and _may_fill(directory):
                dirs.setdefault(controller, str(directory))
    return dirs


def _of_version_2(root: Path, directory: Path | None) -> dict[Controller, str]:
    if directory is None:
        return {}
    if directory.name == OURS:
        directory = directory.parent
    if not (_may_fill(directory) and os.access(directory / "cgroup.subtree_control", os.W_OK)):
        return {}
    if (root / "run/systemd/system").is_dir() and not _is_delegated(directory):
        return {}
    there = _controllers(" ".join(_lines(directory / "cgroup.controllers")).split())
    return {each: str(directory) for each in (*there, *_ALWAYS)}


def _inside(root: Path, target: str, base: str, path: str) -> Path | None:
    """Where the group `path` is, in a mount of `base` at `target`; None where that does not show it."""
    try:
        below = Path(path).relative_to(base)
    except ValueError:
        return None
    return None if ".." in below.parts else root / target.lstrip("/") / below


def _may_fill(directory: Path) -> bool:
    return os.access(directory, os.W_OK) and os.access(directory / "cgroup.procs", os.W_OK)


def _is_delegated(directory: Path) -> bool:
    for name in _DELEGATED:
        try:
            if os.getxattr(directory, name) == b"1":
                return True
        except OSError:
            continue
    return False


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
