"""`firkin logs`: what a container printed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

if TYPE_CHECKING:
    from firkin.container.log import LogRecord
    from firkin.engine.engine import Engine

F = TypeVar("F", bound=Callable[..., Any])


def log_options(function: F) -> F:
    """What may be said of a log that is shown."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


_OPTIONS = (
    click.option("-f", "--follow", is_flag=True, help="Go on until the container ends."),
    click.option(
        "-n", "--tail", default="all", metavar="LINES", show_default=True, help="Only the last lines."
    ),
    click.option(
        "--since", default="", metavar="TIME",
        help="Only what came after this time (RFC 3339, or seconds since 1970), or so long ago (10m).",
    ),
    click.option("-t", "--timestamps", is_flag=True, help="Begin each line with its time."),
)  # fmt: skip


@click.command()
@log_options
@click.argument("name", metavar="CONTAINER")
def command(follow: bool, tail: str, since: str, timestamps: bool, name: str) -> None:
    """Show what a container printed.

    Its standard output goes to standard output, its standard error to standard error.
    """
    from firkin.cli.instant import parse_instant
    from firkin.cli.session import with_engine

    lines = lines_of(tail)
    since_ns = parse_instant(since, time.time_ns()) if since else None
    writers = {"stdout": Writer(sys.stdout.buffer), "stderr": Writer(sys.stderr.buffer)}

    async def logs(engine: Engine) -> None:
        container = await engine.container(name)
        async for record in container.logs(follow=follow, tail=lines, since_ns=since_ns):
            writers[record.stream].write(record, timestamps=timestamps)

    with_engine(logs)


class Writer:
    """Writes the records of one stream. A record may begin or end within a line."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._within_line = False

    def write(self, record: LogRecord, *, timestamps: bool) -> None:
        self._stream.write(self._stamped(record) if timestamps else record.data)
        self._stream.flush()

    def _stamped(self, record: LogRecord) -> bytes:
        from firkin.cli.ago import rfc3339

        stamp = rfc3339(record.time_ns).encode() + b" "
        begin = b"" if self._within_line else stamp
        self._within_line = not record.data.endswith(b"\n")
        body, end = (record.data, b"") if self._within_line else (record.data[:-1], b"\n")
        return begin + body.replace(b"\n", b"\n" + stamp) + end


def lines_of(tail: str) -> int | None:
    """How many lines that says; None for all. Raises UsageError."""
    from firkin.errors import UsageError

    if tail == "all":
        return None
    if not (tail.isascii() and tail.isdigit()):
        raise UsageError(f"{tail!r} is not a number of lines", hint="write a number, or all")
    return int(tail)
