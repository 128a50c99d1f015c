"""`firkin pod pause`: all containers of a pod at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("pause")
@click.argument("names", nargs=-1, required=True, metavar="POD...")
def command(names: tuple[str, ...]) -> int:
    """Let pods stand still.

    Their containers stand still with them, as if no time passed.
    """
    from firkin.cli.session import each, with_engine

    async def all_of_them(engine: Engine) -> int:
        async def one(name: str) -> str:
            await engine.pods.pause(name)
            return name

        return await each(names, one)

    return with_engine(all_of_them)
