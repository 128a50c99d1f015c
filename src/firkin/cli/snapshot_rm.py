"""`firkin snapshot rm`: remove snapshots."""

from __future__ import annotations

import click


@click.command("rm")
@click.option("-f", "--force", is_flag=True, help="Even those that others stand on, and unreadable ones.")
@click.argument("names", nargs=-1, required=True, metavar="SNAPSHOT...")
def command(force: bool, names: tuple[str, ...]) -> int:
    """Remove snapshots.

    One stays while a container that was started from it or a snapshot that was made upon it is here, unless
    --force is given: then its name and memory go, and of its disk what the others do not need. Of several,
    those made upon others go first.
    """
    import asyncio

    from firkin.cli.session import each
    from firkin.engine.snapshot_use import children_first, remove, sweep_layers
    from firkin.settings import Settings

    paths = Settings.load().paths

    async def one(name: str) -> str:
        remove(paths, name, force=force)
        return name

    status = asyncio.run(each(children_first(paths, names), one))
    sweep_layers(paths)
    return status
