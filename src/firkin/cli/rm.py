"""`firkin rm`: remove containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.option(
    "-f", "--force", is_flag=True, help="Also running ones, which end first, suspended and unreadable ones."
)
@click.argument("names", nargs=-1, required=True, metavar="CONTAINER...")
def command(force: bool, names: tuple[str, ...]) -> int:
    """Remove containers and what they wrote.

    Their disks and logs are gone after this; images stay.
    """
    from firkin.cli.session import each, with_engine

    async def remove(engine: Engine) -> int:
        async def one(name: str) -> str:
            await _remove(engine, name, force=force)
            return name

        return await each(names, one)

    return with_engine(remove)


async def _remove(engine: Engine, name: str, *, force: bool) -> None:
    from firkin.errors import Corrupt

    try:
        container = await engine.container(name)
    except Corrupt:  # nobody can say what it was to be, but it can go all the same
        if not force:
            raise
        from firkin.container.record import find
        from firkin.engine.remote import remove

        remove(find(engine.paths, name))
    else:
        await container.remove(force=force)
