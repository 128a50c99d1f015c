"""`firkin snapshot create`: a container as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("create")
@click.option("--disk-only", is_flag=True, help="Leave its memory out: what starts from it begins anew.")
@click.argument("container", metavar="CONTAINER")
@click.argument("name", default="", metavar="[NAME]")
def command(disk_only: bool, container: str, name: str) -> int:
    """Keep a container as it is now.

    It goes on. Of a container that has ended there is only the disk. Without a name the snapshot gets the
    container's with a number. Prints the name.
    """
    from firkin.cli.session import with_engine

    async def create(engine: Engine) -> int:
        found = await engine.container(container)
        print((await found.snapshot(name, disk_only=disk_only)).name, flush=True)
        return 0

    return with_engine(create)
