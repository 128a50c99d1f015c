"""`--debug`: every event on standard error as it happens, with the plans (argv, ops) that it carries."""

from __future__ import annotations

from typing import Any, TextIO

from firkin.cli.report import printable
from firkin.events import Event

_MARKS = {"begin": "> ", "end": "< ", "point": "- "}


class EventPrinter:
    """A subscriber that prints. A closed standard error ends the printing, not the work."""

    def __init__(self, stream: TextIO, start_ns: int) -> None:
        self._stream = stream
        self._start_ns = start_ns

    def __call__(self, event: Event) -> None:
        at_s = (event.time_ns - self._start_ns) / 1e9
        fields = "" if event.phase == "end" else "".join(f" {k}={_shown(v)}" for k, v in event.fields.items())
        try:
            self._stream.write(f"[{at_s:8.3f}] {_MARKS[event.phase]}{event.name}{printable(fields)}\n")
            self._stream.flush()
        except OSError:
            pass


def _shown(value: Any) -> str:
    import shlex

    if isinstance(value, tuple | list) and all(isinstance(item, str) for item in value):
        return shlex.join(value)
    return str(value)
