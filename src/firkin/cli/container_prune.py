"""`firkin container prune`: ended containers, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only those; as for `ps`.")
def command(force: bool, filters: tuple[str, ...]) -> int:
    """Remove containers that have ended, or were created and never started.

    Prints what was removed. Those that are about to be started again stay.
    """
    from firkin.cli.prune import agreed, remove_ended
    from firkin.cli.session import with_engine

    if not force and not agreed("This removes all ended containers that were asked for, for ever. Go on?"):
        return 0

    async def prune(engine: Engine) -> int:
        await engine.tidy()
        return await remove_ended(engine, filters)

    return with_engine(prune)
