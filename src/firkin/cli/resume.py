"""`firkin resume`: suspended containers, once more awake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="CONTAINER...")
def command(names: tuple[str, ...]) -> int:
    """Let suspended and paused containers go on where they were.

    Suspended ones run in the background, with the time as it is now. It takes the same QEMU, and a CPU that
    fits. A container that runs already is no error.
    """
    from firkin.cli.session import each, with_engine

    async def resume(engine: Engine) -> int:
        async def one(name: str) -> str:
            await engine.resume(name)
            return name

        return await each(names, one)

    return with_engine(resume)
