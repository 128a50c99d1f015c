"""`firkin wait`: until it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import names_argument

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.option(
    "--condition", default="not-running", metavar="not-running|next-exit|removed|healthy|unhealthy",
    show_default=True, help="What to wait for.",
)  # fmt: skip
@names_argument
def command(condition: str, names: tuple[str, ...]) -> int:
    """Wait until containers end, and print their exit statuses.

    One line for each container, in the order given. A container that has ended already answers at once, but
    for --condition next-exit, which waits until it has ended once more. For one that became healthy or
    unhealthy 0 is printed.
    """
    import asyncio

    from firkin.cli.session import each, with_engine
    from firkin.engine.waiting import Condition
    from firkin.engine.words import choice

    awaited: Condition = choice("condition", condition, Condition)

    async def wait(engine: Engine) -> int:
        async def one(name: str) -> str:
            return str((await engine.wait(await engine.container(name), awaited)).status)

        all_at_once = {name: asyncio.ensure_future(one(name)) for name in names}
        try:
            return await each(names, all_at_once.__getitem__)
        finally:
            for waiting in all_at_once.values():
                waiting.cancel()

    return with_engine(wait)
