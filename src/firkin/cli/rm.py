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
@click.option(
    "-v", "--volumes", is_flag=True, help="Also the volumes that were made with them, and not named."
)
@click.argument("names", nargs=-1, required=True, metavar="CONTAINER...")
def command(force: bool, volumes: bool, names: tuple[str, ...]) -> int:
    """Remove containers and what they wrote.

    Their disks and logs are gone after this; images and volumes stay.
    """
    from firkin.cli.session import each, with_engine

    async def remove(engine: Engine) -> int:
        async def one(name: str) -> str:
            await _remove(engine, name, force=force, volumes=volumes)
            return name

        return await each(names, one)

    return with_engine(remove)


async def _remove(engine: Engine, name: str, *, force: bool, volumes: bool) -> None:
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
        if volumes:
            from firkin.container.volume_use import let_end
            from firkin.engine.container import check_removable

            if not force:
                check_removable(container.state, container.name)
            let_end(engine.paths, container.spec)
        await container.remove(force=force)
