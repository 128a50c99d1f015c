"""The journal: what happened to this user's containers, images, volumes and networks, in Docker's words.

    data/events/log       a line of JSON for each happening, the last ones
    data/events/log.1     those before, at least as many bytes; what is older is gone

The rule: a line is written by one append, behind a line end of its own, so what a crash tears hurts no other.
Writers hold a shared flock on the file that they append to, whoever moves it aside an exclusive one, so none
writes where no follower looks any more. What cannot be written is lost, and keeps nothing from happening.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from firkin.container.pod import Member
from firkin.decoder import json_decoder
from firkin.events import event
from firkin.paths import Paths
from firkin.process.spec import ExitStatus

if TYPE_CHECKING:
    from firkin.container.spec import ContainerSpec

MAX_BYTES = 1 << 20
_MAX_LINE_BYTES = 64 << 10
_LOOK_EVERY_S = 1.0


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """`action` was done to the container, image, volume or network `id`, at `time_ns` of CLOCK_REALTIME."""

    type: str
    action: str
    id: str
    time_ns: int
    attributes: dict[str, str] = {}


def note_container(paths: Paths, action: str, spec: ContainerSpec, **attributes: str) -> None:
    """Write down what happened to the container of `spec`."""
    note(
        paths,
        "container",
        action,
        spec.id,
        spec.labels | {"image": spec.image, "name": spec.name} | attributes,
    )


def note_start(paths: Paths, spec: ContainerSpec) -> None:
    """Write down that the container of `spec` runs."""
    note_networks(paths, "connect", spec)
    note_container(paths, "start", spec)


def note_networks(paths: Paths, action: str, spec: ContainerSpec) -> None:
    """Write down what happened to each private network of the container, which is not its pod's."""
    if not isinstance(spec.pod, Member):
        for card in spec.network.private:
            note_network(paths, action, card.id, card.network, spec.id)


def note_end(paths: Paths, spec: ContainerSpec, status: ExitStatus) -> None:
    """Write down how the container of `spec` ended."""
    if status.why == "oom":
        note_container(paths, "oom", spec)
    note_container(paths, "die", spec, exitCode=str(status.status))
    note_networks(paths, "disconnect", spec)


def note_volume(paths: Paths, action: str, name: str, driver: str) -> None:
    """Write down what happened to a volume."""
    note(paths, "volume", action, name, {"driver": driver})


def note_network(paths: Paths, action: str, id: str, name: str, container_id: str = "") -> None:
    """Write down what happened to a network, or to a container on it."""
    note(
        paths,
        "network",
        action,
        id,
        {"name": name, "type": "switch"} | ({"container": container_id} if container_id else {}),
    )


def note(paths: Paths, kind: str, action: str, id: str, attributes: dict[str, str]) -> None:
    """Write down what happened now. Never raises: it has happened already."""
    happening = Happening(type=kind, action=action, id=id, time_ns=time.time_ns(), attributes=attributes)
    line = msgspec.json.encode(happening)
    if len(line) > _MAX_LINE_BYTES:
        line = msgspec.json.encode(msgspec.structs.replace(happening, attributes={}))
    path = paths.events_path
    try:
        with _appending(path) as fd:
            os.write(fd, b"\n" + line + b"\n")
            if os.fstat(fd).st_size > MAX_BYTES:
                _move_aside(path, fd)
    except OSError as error:
        event("journal.lost", action=action, error=error)


@contextmanager
def _appending(path: Path) -> Iterator[int]:
    """The log, open for appending, which stays the log while the block runs. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            flock(fd, LOCK_SH)
            if _is_at(fd, path):
                yield fd
                return
        finally:
            os.close(fd)


def _move_aside(path: Path, fd: int) -> None:
    """Begin a new log, unless somebody else is at it. Raises OSError."""
    with suppress(BlockingIOError):
        flock(fd, LOCK_EX | LOCK_NB)
        if _is_at(fd, path):
            path.rename(_earlier(path))


def _earlier(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def read(paths: Paths) -> Iterator[Happening]:
    """What is written down, the oldest first. Raises OSError."""
    with _Tail(paths.events_path) as tail:
        yield from tail.more()


async def follow(paths: Paths, over: Callable[[], bool] = lambda: False) -> AsyncIterator[Happening]:
    """As read(), and then what happens, until `over`. Raises OSError."""
    from firkin.linux.inotify import Watch  # ctypes, which only a follower pays for

    directory = paths.events_path.parent
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Watch(directory) as watch, _Tail(paths.events_path) as tail:
        while True:
            last = over()
            for happening in tail.more():
                yield happening
            if last:
                return
            await watch.changed(_LOOK_EVERY_S)


class _Tail:
    """The log from its oldest line on, and on from file to file as it is moved aside."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = self._opened(_earlier(path))
        if self._fd < 0:
            self._fd = self._opened(path)
        self._rest = b""

    def __enter__(self) -> _Tail:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def more(self) -> Iterator[Happening]:
        """What was written down since the last call."""
        while True:
            # Asked before reading: what is moved aside is never written again.
            moved = self._fd < 0 or not _is_at(self._fd, self._path)
            yield from self._lines()
            if not moved or (fresh := self._opened(self._path)) < 0:
                return
            self.__exit__()
            self._fd, self._rest = fresh, b""

    def _lines(self) -> Iterator[Happening]:
        while self._fd >= 0 and (data := os.read(self._fd, _MAX_LINE_BYTES)):
            *whole, self._rest = (self._rest + data).split(b"\n")
            self._rest = self._rest[: 2 * _MAX_LINE_BYTES]
            for line in filter(None, whole):
                with suppress(msgspec.DecodeError):  # torn by a crash: nobody knows what it was to say
                    yield json_decoder(Happening).decode(line)

    @staticmethod
    def _opened(path: Path) -> int:
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return -1
