"""Group: the control groups of one container, made in our own: a directory for each controller of version 1,
one for all of version 2.

    containers/<id>/cgroups.json    a Group, there before its directories are

The rule: a container's processes are born there, or join before they run anything, so nothing of it is beside
its limits. Its agent is not among them: it answers while they are frozen, or have reached their limits.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from firkin.linux.cgroup.limits import UNLIMITED, Controller, Limits, Setting, Version, settings
from firkin.linux.cgroup.places import OURS, Places, version_of

_PATIENCE_S = 2.0
_LOOK_EVERY_S = 0.001
_MOST_LOOKS = 1000
_MOST_DEPTH = 32


class Group(msgspec.Struct, frozen=True):
    """Where they are. Of version 2, `freezer` is always among them."""

    version: Version
    dirs: dict[Controller, str]

    @property
    def directories(self) -> tuple[str, ...]:
        """Each once."""
        return tuple(dict.fromkeys(self.dirs.values()))

    def make(self) -> None:
        """Make them, empty. Raises OSError."""
        for directory in self.directories:
            if self.version == 2:
                _hand_down(Path(directory).parent, self.dirs)
            os.mkdir(directory)
        if self.version == 1 and "cpuset" in self.dirs:
            _take_after_parent(Path(self.dirs["cpuset"]))

    def hold(self, wanted: Limits, held: Limits = UNLIMITED) -> None:
        """Hold to `wanted` what was held to `held`. Raises Unheld; then some of it may be done already."""
        for each in settings(self.version, wanted, held):
            directory = self.dirs.get(each.controller)
            if directory is None:
                raise Unheld(each, OSError(errno.ENOENT, "there is no such controller"))
            try:
                if self.version == 2 and each.file == "memory.max":
                    _make_room(Path(directory), wanted.memory_bytes)
                write(Path(directory, each.file), each.text or self._of_parent(Path(directory, each.file)))
            except OSError as error:
                raise Unheld(each, error) from error

    def _of_parent(self, file: Path) -> str:
        """What no limit is where version 1 lets a file not be empty."""
        return (file.parent.parent / file.name).read_text().strip() if self.version == 1 else ""

    @contextmanager
    def doors(self) -> Iterator[tuple[bytes, tuple[int, ...]]]:
        """Descriptors by which the agent lets processes in, and a letter for each (guest/cgroup.h). Raises
        OSError.
        """
        fds: list[int] = []
        kinds = b""
        try:
            if self.version == 2:
                fds.append(os.open(self.directories[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                kinds = b"i"
            elif "memory" in self.dirs:
                counts = Path(self.dirs["memory"], "memory.oom_control")
                fds.append(os.open(counts, os.O_RDONLY | os.O_CLOEXEC))
                kinds = b"o"
            for directory in self.directories if self.version == 1 else ():
                fds.append(os.open(Path(directory, "cgroup.procs"), os.O_WRONLY | os.O_CLOEXEC))
                kinds += b"j"
            yield kinds, tuple(fds)
        finally:
            for fd in fds:
                os.close(fd)

    @property
    def freezes(self) -> bool:
        """Whether its processes can be frozen."""
        return "freezer" in self.dirs

    def set_frozen(self, frozen: bool) -> None:
        """Begin to freeze them, or let them go on. Raises OSError."""
        directory = Path(self.dirs["freezer"])
        if self.version == 1:
            write(directory / "freezer.state", "FROZEN" if frozen else "THAWED")
        else:
            write(directory / "cgroup.freeze", "1" if frozen else "0")

    def is_frozen(self) -> bool:
        """Whether all of them stand still by now. Raises OSError."""
        directory = Path(self.dirs["freezer"])
        if self.version == 1:
            return (directory / "freezer.state").read_text().strip() == "FROZEN"
        return "frozen 1" in (directory / "cgroup.events").read_text().splitlines()

    def remove(self) -> None:
        """End what is in them, frozen or not, and remove them; nothing happens where they are gone.

        Raises OSError where one is not empty after a while.
        """
        with suppress(OSError):
            if self.freezes:
                self.set_frozen(False)
        for directory in self.directories:
            _remove(Path(directory), time.monotonic() + _PATIENCE_S)


class Unheld(OSError):
    """`setting` could not be made."""

    def __init__(self, setting: Setting, error: OSError) -> None:
        super().__init__(error.errno, error.strerror, str(setting.file))
        self.setting = setting


def group_of(places: Places, name: str) -> Group | None:
    """The group `name` that can be made in `places`; None where nothing can."""
    if not places.dirs:
        return None
    dirs = {controller: f"{directory}/{name}" for controller, directory in places.dirs.items()}
    return Group(version_of(places), dirs)


def write(path: Path, text: str) -> None:
    """One write, as these files want it. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _hand_down(parent: Path, controllers: dict[Controller, str]) -> None:
    """Let the groups in `parent` have what it has of these. Raises OSError."""
    handed = (parent / "cgroup.subtree_control").read_text().split()
    there = (parent / "cgroup.controllers").read_text().split()
    for controller in (each for each in controllers if each in there and each not in handed):
        try:
            write(parent / "cgroup.subtree_control", f"+{controller}")
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _step_aside(parent)
            write(parent / "cgroup.subtree_control", f"+{controller}")


def _step_aside(parent: Path) -> None:
    """Who hands down controllers must be empty ("no internal process"): what is in it, as we are, goes to a
    group inside, where the same limits hold. Raises OSError.
    """
    aside = parent / OURS
    aside.mkdir(exist_ok=True)
    for _ in range(_MOST_LOOKS):
        pids = (parent / "cgroup.procs").read_text().split()
        if not pids:
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                write(aside / "cgroup.procs", pid)


def _take_after_parent(directory: Path) -> None:
    """A new group of version 1 has no processor and no memory, and lets nobody in. Raises OSError."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        write(directory / file, (directory.parent / file).read_text().strip())


def _make_room(directory: Path, limit_bytes: int | None) -> None:
    """The kernel would kill to get below a limit: what is only cached is let go, less than the rest refused.
    Raises OSError EBUSY.
    """
    used = int((directory / "memory.current").read_text())
    if limit_bytes is None or used <= limit_bytes:
        return
    with suppress(OSError):  # EAGAIN where there is less, ENOENT before Linux 5.19: seen below
        write(directory / "memory.reclaim", str(used - limit_bytes))
    if int((directory / "memory.current").read_text()) > limit_bytes:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _remove(directory: Path, deadline: float, depth: int = 0) -> None:
    while True:
        try:
            os.rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY) or time.monotonic() > deadline:
                raise
        _end_all(directory)
        for inside in [each for each in directory.iterdir() if each.is_dir()] if depth < _MOST_DEPTH else ():
            _remove(inside, deadline, depth + 1)
        time.sleep(_LOOK_EVERY_S)


def _end_all(directory: Path) -> None:
    with suppress(OSError):
        write(directory / "cgroup.kill", "1")
        return
    with suppress(OSError):
        for pid in (directory / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
