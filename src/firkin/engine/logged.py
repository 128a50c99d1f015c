"""Logged: the first process of a container that has ended, as its log has it."""

from __future__ import annotations

from collections.abc import Iterator

from firkin.container import logs
from firkin.container.log import Stream
from firkin.container.record import Exited, Record
from firkin.engine.attached import AttachedProcess
from firkin.engine.outlet import Tap
from firkin.errors import WrongState
from firkin.process.spec import ExitStatus


def logged_process(record: Record, name: str, ended: Exited) -> AttachedProcess:
    """What it wrote since it was last started, and how it ended."""

    def tap(stream: Stream) -> Tap:
        made = Tap(_pieces(record, stream, ended.started_ns), on_close=lambda _: None)
        made.finish(None)
        return made

    async def status() -> ExitStatus:
        return ended.status

    return AttachedProcess(Ended(name), stdin=None, stdout=tap("stdout"), stderr=tap("stderr"), ended=status)


def _pieces(record: Record, stream: Stream, since_ns: int | None) -> Iterator[bytes]:
    for each in logs.read(record.log_path, since_ns=since_ns):
        if each.stream == stream:
            yield each.data


class Ended:
    """Stands for the first process of a container that has ended."""

    pid = 0

    def __init__(self, name: str) -> None:
        self._error = WrongState(f"container {name!r} is not running", hint="`firkin ps -a` shows its state")

    async def signal(self, number: int) -> None:
        raise self._error

    async def resize(self, rows: int, cols: int) -> None:
        raise self._error
