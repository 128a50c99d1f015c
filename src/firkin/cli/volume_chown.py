"""`firkin volume chown`: who owns what is in volumes."""

from __future__ import annotations

import click


@click.command("chown")
@click.argument("owner", metavar="UID[:GID]")
@click.argument("names", nargs=-1, required=True, metavar="VOLUME...")
def command(owner: str, names: tuple[str, ...]) -> int:
    """Give volumes, and all that is in them, to a user of containers.

    The numbers are those that a container sees; without a group it is the one of the same number. It is for
    volumes that are directories of this host: what is on a disk of its own is changed by a container that has
    it. Links are changed themselves, not what they lead to.
    """
    import asyncio

    from firkin.cli.session import each
    from firkin.engine.volume_owner import chown, parse_owner
    from firkin.settings import Settings

    paths, (uid, gid) = Settings.load().paths, parse_owner(owner)

    async def one(name: str) -> str:
        chown(paths, name, uid, gid)
        return name

    return asyncio.run(each(names, one))
