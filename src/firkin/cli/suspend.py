"""`firkin suspend`: running containers, put to sleep on the disk."""

from __future__ import annotations

import click


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="CONTAINER...")
def command(names: tuple[str, ...]) -> int:
    """Save running containers to the disk, and end their machines.

    `firkin resume` lets them go on where they were, also after this host was started anew. A container that
    shares directories with the host cannot be suspended.
    """
    from firkin.cli.session import for_each_container

    return for_each_container(names, lambda container: container.suspend())
