"""`firkin network rm`: remove private networks."""

from __future__ import annotations

import click


@click.command("rm")
@click.option("-f", "--force", is_flag=True, help="Also unreadable ones; it is no error where there is none.")
@click.argument("names", nargs=-1, required=True, metavar="NETWORK...")
def command(force: bool, names: tuple[str, ...]) -> int:
    """Remove private networks.

    One stays while a container uses it, whether that runs or not.
    """
    from functools import partial

    from firkin.cli.removal import remove_each
    from firkin.container.private_network import remove
    from firkin.errors import NetworkNotFound
    from firkin.settings import Settings

    return remove_each(
        names, partial(remove, Settings.load().paths, force=force), NetworkNotFound, force=force
    )
