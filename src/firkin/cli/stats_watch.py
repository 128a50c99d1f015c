"""What `firkin stats` and `firkin pod stats` have in common: rows of use that are looked at once or again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from firkin.cli.listing import Row, listing
from firkin.cli.stats_row import stats_row
from firkin.errors import ContainerNotFound, MachineDied, OutcomeUnknown, WrongState

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.wire.usage import Usage

_EVERY_S = 1.0
_CLEAR = "\x1b[H\x1b[J"


async def watch(
    look: Callable[[], Awaitable[Sequence[Row]]],
    headings: Mapping[str, str],
    columns: Sequence[str],
    form: str,
    *,
    once: bool,
) -> None:
    """Print the rows of `look` each second, or once; the first are what the next ones are compared with."""
    await look()
    while True:
        await asyncio.sleep(_EVERY_S)
        rows = await look()
        clear = _CLEAR if sys.stdout.isatty() and not once else ""
        click.echo(clear + listing(rows, headings, columns, form), nl=False)
        sys.stdout.flush()
        if once:
            return


class Watched:
    """The containers that are shown, and what each had used when they were last looked at."""

    def __init__(self, *, shorten: bool) -> None:
        self._shorten = shorten
        self._before: dict[str, Usage] = {}

    async def row(self, engine: Engine, called: str, *, named: bool) -> dict[str, Any] | None:
        """The container `called` as it is now. None where it was removed, ContainerNotFound where somebody
        `named` it.
        """
        try:
            container = await engine.container(called)
        except ContainerNotFound:
            if named:
                raise
            return None  # it was removed since it was listed
        try:
            usage = await container.stats()
        except (WrongState, ContainerNotFound, OutcomeUnknown, MachineDied):
            usage = None  # it stands still, or has ended
        id = self.shown(container.id)
        before = self._before.get(container.id)
        if usage is not None:
            self._before[container.id] = usage
        return stats_row(called if named else id, id, container.name, usage, before)

    def shown(self, id: str) -> str:
        """`id` in as many digits as were asked for."""
        return id[:12] if self._shorten else id
