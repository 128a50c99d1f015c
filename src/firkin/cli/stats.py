"""`firkin stats`: what running containers use, once or again and again."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from firkin.cli.options import format_option, no_trunc_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.wire.usage import Usage

_EVERY_S = 1.0
_CLEAR = "\x1b[H\x1b[J"


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
    from firkin.cli.listing import listing
    from firkin.cli.session import with_engine
    from firkin.cli.stats_row import COLUMNS, HEADINGS

    watched = _Watched(names, everything=everything, shorten=not no_trunc)

    async def stats(engine: Engine) -> None:
        await watched.look(engine)
        while True:
            await asyncio.sleep(_EVERY_S)
            rows = await watched.look(engine)
            clear = _CLEAR if sys.stdout.isatty() and not no_stream else ""
            click.echo(clear + listing(rows, HEADINGS, COLUMNS, form), nl=False)
            sys.stdout.flush()
            if no_stream:
                return

    with_engine(stats)


class _Watched:
    """The containers that are shown, and what each had used when they were last looked at."""

    def __init__(self, names: tuple[str, ...], *, everything: bool, shorten: bool) -> None:
        self._names = names
        self._everything = everything
        self._shorten = shorten
        self._before: dict[str, Usage] = {}

    async def look(self, engine: Engine) -> list[dict[str, Any]]:
        """A row for each of them as it is now. Raises ContainerNotFound for a name that is nobody's."""
        called = self._names or [
            each.spec.id for each in engine.containers(all=self._everything) if not each.problem
        ]
        rows = await asyncio.gather(*(self._row(engine, name) for name in called))
        return [row for row in rows if row is not None]

    async def _row(self, engine: Engine, called: str) -> dict[str, Any] | None:
        from firkin.cli.stats_row import stats_row
        from firkin.errors import ContainerNotFound, MachineDied, OutcomeUnknown, WrongState

        try:
            container = await engine.container(called)
        except ContainerNotFound:
            if self._names:
                raise
            return None  # it was removed since it was listed
        try:
            usage = await container.stats()
        except (WrongState, ContainerNotFound, OutcomeUnknown, MachineDied):
            usage = None  # it stands still, or has ended
        id = container.id[:12] if self._shorten else container.id
        before = self._before.get(container.id)
        if usage is not None:
            self._before[container.id] = usage
        name = called if self._names else id
        return stats_row(name, id, container.name, usage, before)
