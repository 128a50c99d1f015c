"""`firkin rm`: remove containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import names_argument

if TYPE_CHECKING:
    from firkin.engine.container import Container


@click.command()
@click.option("-f", "--force", is_flag=True, help="End running ones first.")
@names_argument
def command(force: bool, names: tuple[str, ...]) -> int:
    """Remove containers and what they wrote.

    Their disks and logs are gone after this; images stay.
    """
    from firkin.cli.session import for_each_container

    async def remove(container: Container) -> None:
        await container.remove(force=force)

    return for_each_container(names, remove)
