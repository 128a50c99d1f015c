"""Progress of a pull, of a push and of the building of a disk, drawn from events on standard error.

On a terminal: bars. Elsewhere: one line for each thing that begins or is done, for logs. rich is imported
when the first bar is due, so that a run of a cached image never pays for it. Events come from several
threads. A standard error that went away is no reason to fail a pull: errors of writing end the drawing, not
the work.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from firkin.cli.report import printable
from firkin.events import Event, subscribed
from firkin.units import format_size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_STAGES = {
    "pull": "pulling",
    "push": "pushing",
    "rootfs": "building the disk",
    "template.make": "preparing machines of this size, once",
    "snapshot.pack": "packing snapshot",
    "snapshot.unpack": "unpacking snapshot",
    "kernel.fetch": "fetching",
}
_MOVES = {
    "layer.progress": "",
    "layer.done": "",
    "layer.cached": "already here",
    "layer.retry": "connection lost, going on",
    "layer.sending": "",
    "layer.sent": "",
    "layer.present": "already there",
    "layer.mounted": "already there, in another repository",
    "layer.resumed": "connection lost, going on",
    "rootfs.progress": "",
    "snapshot.packed": "",
    "snapshot.unpacked": "",
    "kernel.progress": "",
}
"""The events of a stage, and what there is to say of them."""
_OBJECTS = ("reference", "package", "snapshot")
"""The fields that say what a stage is about."""
_TOLD_AT_ONCE = ("pull", "push", "template.make", "snapshot.pack", "snapshot.unpack")
_WAITING = "registry.waiting"
_WHOLE = ("layer.done", "layer.cached", "layer.sent", "layer.present", "layer.mounted")
_BARE = {
    "rootfs.progress": "disk",
    "snapshot.packed": "snapshot",
    "snapshot.unpacked": "snapshot",
    "kernel.progress": "package",
}


class Display(Protocol):
    """What a progress display shows."""

    def begin(self, title: str) -> None: ...
    def moved(self, what: str, done: int, total: int, note: str) -> None: ...
    def end(self) -> None: ...


@contextmanager
def progress(*, quiet: bool = False, to: TextIO | None = None) -> Iterator[None]:
    """Show pulls, disk building and fetches on standard error while the block runs; nothing when `quiet`."""
    if quiet:
        yield
        return
    stream = sys.stderr if to is None else to
    watcher = Watcher(Bars(stream) if stream.isatty() else Lines(stream))
    try:
        with subscribed(watcher):
            yield
    finally:
        watcher.close()


class Watcher:
    """A subscriber that tells a Display about the outermost of the stages that it knows."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._lock = threading.Lock()
        self._open = 0
        self._dead = False
        self._untold = ""  # the title of a stage that has not moved: a disk that is there never does

    def __call__(self, event: Event) -> None:
        if event.name in _STAGES or event.name in _MOVES or event.name == _WAITING:
            with self._lock:
                try:
                    if not self._dead:
                        self._show(event)
                except OSError:
                    self._dead = True

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._open and not self._dead:
            self._display.end()
        self._open, self._dead = 0, True

    def _show(self, event: Event) -> None:
        if event.phase == "begin":
            self._open += 1
            what = next((event.fields[key] for key in _OBJECTS if event.fields.get(key)), "")
            self._untold = f"{_STAGES[event.name]} {printable(str(what))}".rstrip()
            if event.name in _TOLD_AT_ONCE:
                self._tell()
        elif event.phase == "end":
            self._open = max(0, self._open - 1)
            if not self._open:
                self._display.end()
        elif event.name == _WAITING:
            host, seconds = printable(str(event.fields.get("host", ""))), event.fields.get("seconds", 0)
            self._display.begin(f"{host} asks to wait {seconds:.0f} s")
        elif self._open:
            self._tell()
            self._move(event)

    def _tell(self) -> None:
        if self._untold:
            self._display.begin(self._untold)
        self._untold = ""

    def _move(self, event: Event) -> None:
        digest = str(event.fields.get("digest", "")).rpartition(":")[2][:12]
        total = int(event.fields.get("total") or 0)
        done = total if event.name in _WHOLE else int(event.fields.get("done") or 0)
        what = f"layer {printable(digest)}" if digest else _BARE[event.name]
        self._display.moved(what, done, total, _MOVES[event.name])


class Lines:
    """A line when a stage begins, and one when a layer is whole."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._whole: set[str] = set()

    def begin(self, title: str) -> None:
        self._print(f"firkin: {title}")

    def moved(self, what: str, done: int, total: int, note: str) -> None:
        if what in self._whole or what in _BARE.values():
            return
        if done >= total:
            self._whole.add(what)
        if note or done >= total:
            self._print(f"  {what}: {note or format_size(total)}")

    def end(self) -> None:
        self._whole.clear()

    def _print(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class Bars:
    """A bar for each layer, gone when the stage is over."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def begin(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                DownloadColumn(),
                TransferSpeedColumn(),
                console=Console(file=self._stream),
                transient=True,
            )
            self._progress.start()
        self._progress.console.print(f"firkin: {title}", markup=False, highlight=False, soft_wrap=True)

    def moved(self, what: str, done: int, total: int, note: str) -> None:
        if self._progress is None:
            return
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total or None)
        description = f"{what}: {note}" if note else what
        self._progress.update(self._tasks[what], completed=done, total=total or None, description=description)

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress = None
        self._tasks.clear()
