"""`firkin pod rm`: remove pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("rm")
@click.option("-f", "--force", is_flag=True, help="Also running ones, which end first.")
@click.argument("names", nargs=-1, required=True, metavar="POD...")
def command(force: bool, names: tuple[str, ...]) -> int:
    """Remove pods with their containers.

    Their store, with all that the containers wrote, is gone after this; images stay.
    """
    from firkin.cli.session import each, with_engine

    async def all_of_them(engine: Engine) -> int:
        async def one(name: str) -> str:
            await engine.pods.remove(name, force=force)
            return name

        return await each(names, one)

    return with_engine(all_of_them)
