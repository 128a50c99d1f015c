"""`firkin stats`: what running containers use, once or again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from firkin.cli.options import format_option, no_trunc_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Those that do not run, too.")
@click.option("--no-stream", is_flag=True, help="Once, and not again each second.")
@no_trunc_option
@format_option("a table")
@click.argument("names", nargs=-1, metavar="[CONTAINER...]")
def command(everything: bool, no_stream: bool, no_trunc: bool, form: str, names: tuple[str, ...]) -> None:
    """Show what running containers use.

    Each second, until it is interrupted. CPU, memory, network, devices and processes are counted by the
    guest's kernel; HOST MEM is what the machine takes of this host's.
    """
    from firkin.cli.session import with_engine
    from firkin.cli.stats_row import COLUMNS, HEADINGS
    from firkin.cli.stats_watch import Watched, watch

    watched = Watched(shorten=not no_trunc)

    async def look(engine: Engine) -> list[dict[str, Any]]:
        called = names or [each.spec.id for each in engine.containers(all=everything) if not each.problem]
        rows = await asyncio.gather(*(watched.row(engine, name, named=bool(names)) for name in called))
        return [row for row in rows if row is not None]

    with_engine(lambda engine: watch(lambda: look(engine), HEADINGS, COLUMNS, form, once=no_stream))
