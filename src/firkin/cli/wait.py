"""`firkin wait`: until it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import names_argument

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@names_argument
def command(names: tuple[str, ...]) -> int:
    """Wait until containers end, and print their exit statuses.

    One line for each container, in the order given. A container that has ended already answers at once.
    """
    from firkin.cli.session import each, with_engine

    async def wait(engine: Engine) -> int:
        async def one(name: str) -> str:
            ended = await (await engine.container(name)).wait()
            return str(ended.status)

        return await each(names, one)

    return with_engine(wait)
