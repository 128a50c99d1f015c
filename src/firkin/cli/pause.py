"""`firkin pause`: running containers, standing still."""

from __future__ import annotations

import click

from firkin.cli.options import names_argument


@click.command()
@names_argument
def command(names: tuple[str, ...]) -> int:
    """Let running containers stand still.

    Their programs take no processor time and notice nothing but the clock, which is right again when `firkin
    unpause` lets them go on. Their memory stays taken: `firkin suspend` gives it back.
    """
    from firkin.cli.session import for_each_container

    return for_each_container(names, lambda container: container.pause())
