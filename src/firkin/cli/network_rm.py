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
    import asyncio

    from firkin.cli.session import each
    from firkin.container.private_network import remove
    from firkin.errors import NetworkNotFound
    from firkin.settings import Settings

    paths = Settings.load().paths

    async def one(name: str) -> str:
        try:
            remove(paths, name, force=force)
        except NetworkNotFound:
            if not force:
                raise
        return name

    return asyncio.run(each(names, one))
