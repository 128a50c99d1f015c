"""`firkin top`: the processes of a container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from firkin.cli.options import format_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.wire.messages import ProcessRow

_HEADINGS = {
    "UID": "UID", "PID": "PID", "PPID": "PPID", "State": "STATE", "RSS": "RSS", "TTY": "TTY", "Time": "TIME",
    "Command": "CMD",
}  # fmt: skip
_TICKS_A_SECOND = 100  # USER_HZ, the same on every Linux that a machine here runs


@click.command()
@format_option("a table")
@click.argument("name", metavar="CONTAINER")
def command(form: str, name: str) -> None:
    """List the processes of a container.

    Process ids are those that the container sees.
    """
    from firkin.cli.listing import listing
    from firkin.cli.session import with_engine

    async def top(engine: Engine) -> list[ProcessRow]:
        return await (await engine.container(name)).top()

    rows = [_row(process) for process in with_engine(top)]
    click.echo(listing(rows, _HEADINGS, tuple(_HEADINGS), form), nl=False)


def _row(process: ProcessRow) -> dict[str, Any]:
    from firkin.units import format_size

    seconds = (process.utime_ticks + process.stime_ticks) // _TICKS_A_SECOND
    return {
        "UID": process.uid,
        "PID": process.pid,
        "PPID": process.ppid,
        "State": process.state,
        "RSS": format_size(process.rss_bytes),
        "TTY": process.tty or "?",
        "Time": f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}",
        "Command": " ".join(process.args),
    }
