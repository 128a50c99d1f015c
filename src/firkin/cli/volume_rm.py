"""`firkin volume rm`: remove volumes."""

from __future__ import annotations

import click


@click.command("rm")
@click.option("-f", "--force", is_flag=True, help="Also unreadable ones; it is no error where there is none.")
@click.argument("names", nargs=-1, required=True, metavar="VOLUME...")
def command(force: bool, names: tuple[str, ...]) -> int:
    """Remove volumes and what they hold.

    One stays while a container uses it, whether that runs or not. A directory of this host that was given as
    device stays as it is.
    """
    from functools import partial

    from firkin.cli.removal import remove_each
    from firkin.container.volume_use import remove
    from firkin.errors import VolumeNotFound
    from firkin.settings import Settings

    return remove_each(
        names, partial(remove, Settings.load().paths, force=force), VolumeNotFound, force=force
    )
