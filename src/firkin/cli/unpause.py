"""`firkin unpause`: paused containers, going on."""

from __future__ import annotations

import click

from firkin.cli.options import names_argument


@click.command()
@names_argument
def command(names: tuple[str, ...]) -> int:
    """Let paused containers go on.

    With the time as it is now.
    """
    from firkin.cli.session import for_each_container

    return for_each_container(names, lambda container: container.unpause())
