"""`firkin snapshot rollback`: a container's disk as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("rollback")
@click.option("-f", "--force", is_flag=True, help="Stop it where it runs, and start it again afterwards.")
@click.option("--discard", is_flag=True, help="Keep nothing of what its disk is now.")
@click.argument("container", metavar="CONTAINER")
@click.argument("snapshot", metavar="SNAPSHOT")
def command(force: bool, discard: bool, container: str, snapshot: str) -> int:
    """Let a container's disk be what it was in a snapshot.

    What it is now becomes a snapshot first, whose name is printed, unless --discard is given. Only the disk
    goes back: `firkin snapshot restore` makes a container that goes on from memory, too.
    """
    from firkin.cli.session import with_engine

    async def roll_back(engine: Engine) -> int:
        kept = await engine.roll_back(container, snapshot, discard=discard, force=force)
        if kept is not None:
            print(kept.name, flush=True)
        return 0

    return with_engine(roll_back)
