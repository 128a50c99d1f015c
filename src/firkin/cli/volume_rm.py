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
    import asyncio

    from firkin.cli.session import each
    from firkin.container.volume_use import remove
    from firkin.errors import VolumeNotFound
    from firkin.settings import Settings

    paths = Settings.load().paths

    async def one(name: str) -> str:
        try:
            remove(paths, name, force=force)
        except VolumeNotFound:
            if not force:
                raise
        return name

    return asyncio.run(each(names, one))
