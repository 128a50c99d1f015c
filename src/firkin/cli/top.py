"""`firkin top`: the processes of a container."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from firkin.cli.options import format_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.engine.ps_format import Column
    from firkin.wire.messages import ProcessRow

_HEADINGS = {
    "UID": "UID", "PID": "PID", "PPID": "PPID", "State": "STATE", "RSS": "RSS", "TTY": "TTY", "Time": "TIME",
    "Command": "CMD",
}  # fmt: skip
_POD_HEADINGS = {"Container": "CONTAINER", **_HEADINGS}
_TICKS_A_SECOND = 100  # USER_HZ, the same on every Linux that a machine here runs


@click.command(context_settings={"ignore_unknown_options": True})
@format_option("a table")
@click.argument("name", metavar="CONTAINER")
@click.argument("operands", nargs=-1, type=click.UNPROCESSED, metavar="[PS OPTIONS]")
def command(form: str, name: str, operands: tuple[str, ...]) -> None:
    """List the processes of a container.

    Process ids are those that the container sees, users are numbers. Options of ps choose what is shown: -e,
    -f, -ef, ax, aux, or -o (-eo) with a list of columns; the names of columns alone do, too.

    \b
    firkin top web aux
    firkin top web -eo pid,comm,etime
    """
    from firkin.cli.session import with_engine

    columns = columns_of(operands, form)

    async def top(engine: Engine) -> tuple[list[ProcessRow], int]:
        container = await engine.container(name)
        return await container.top(), container.spec.memory_bytes

    found, memory_bytes = with_engine(top)
    rows = [(name, row) for row in found]
    click.echo(text_of(rows, columns, form, memory_bytes, of_a_pod=False), nl=False)


def columns_of(operands: tuple[str, ...], form: str) -> tuple[Column, ...] | None:
    """What the operands ask for, before anybody is asked; None where there are none. Raises UsageError."""
    if not operands:
        return None
    from firkin.engine.ps_format import parse
    from firkin.errors import UsageError

    if form:
        raise UsageError("--format and options of ps both choose what is shown", hint="leave one of them out")
    return parse(operands)


def text_of(
    rows: Sequence[tuple[str, ProcessRow]],
    columns: tuple[Column, ...] | None,
    form: str,
    memory_bytes: int,
    *,
    of_a_pod: bool,
) -> str:
    """Processes, each with the name of its container, which is shown of a pod's."""
    from firkin.cli.listing import listing

    headings = _POD_HEADINGS if of_a_pod else _HEADINGS
    if columns is None:
        return listing([_row(*each) for each in rows], headings, tuple(headings), form)
    return _as_ps(rows, columns, memory_bytes, of_a_pod=of_a_pod)


def _as_ps(
    rows: Sequence[tuple[str, ProcessRow]], columns: tuple[Column, ...], memory_bytes: int, *, of_a_pod: bool
) -> str:
    import time

    from firkin.cli.table import table
    from firkin.engine.ps_format import Seen

    def cells(container: str, texts: list[str]) -> list[str]:
        return [container, *texts] if of_a_pod else texts

    seen = [(name, Seen(row, time.time(), memory_bytes)) for name, row in rows]
    titles = cells(_POD_HEADINGS["Container"], [column.title for column in columns])
    return table([titles, *(cells(name, [column.text(each) for column in columns]) for name, each in seen)])


def _row(container: str, process: ProcessRow) -> dict[str, Any]:
    from firkin.units import format_size

    seconds = (process.utime_ticks + process.stime_ticks) // _TICKS_A_SECOND
    return {
        "Container": container,
        "UID": process.uid,
        "PID": process.pid,
        "PPID": process.ppid,
        "State": process.state,
        "RSS": format_size(process.rss_bytes),
        "TTY": process.tty or "?",
        "Time": f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}",
        "Command": " ".join(process.args),
    }
