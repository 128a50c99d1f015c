"""`firkin kill`: send a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import names_argument

if TYPE_CHECKING:
    from firkin.engine.container import Container


@click.command()
@click.option("-s", "--signal", "word", default="KILL", metavar="SIGNAL", show_default=True,
              help="The signal, by name or number.")  # fmt: skip
@names_argument
def command(word: str, names: tuple[str, ...]) -> int:
    """Send a signal to containers.

    It goes to the first process of each. A first process that has no handler for a signal other than KILL
    never sees it: that is the kernel's rule for the first process of a pid namespace.
    """
    from firkin.cli.session import for_each_container
    from firkin.engine.signals import parse_signal

    number = parse_signal(word)

    async def kill(container: Container) -> None:
        await container.kill(number)

    return for_each_container(names, kill)
