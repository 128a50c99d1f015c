"""`firkin rename`: another name for a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.argument("old", metavar="CONTAINER")
@click.argument("new", metavar="NAME")
def command(old: str, new: str) -> int:
    """Give a container another name.

    Whatever it does; its host name stays.
    """
    from firkin.cli.session import with_engine

    async def rename(engine: Engine) -> int:
        await (await engine.container(old)).rename(new)
        return 0

    return with_engine(rename)
