"""`firkin snapshot restore`: a new container from a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("restore")
@click.option("--name", default="", metavar="NAME", help="Name the container.")
@click.argument("snapshot", metavar="SNAPSHOT")
def command(name: str, snapshot: str) -> int:
    """Start a new container from a snapshot.

    With memory it goes on where the snapshot was made; with a disk only, its command begins anew on that
    disk. It runs in the background. Prints its id.
    """
    from firkin.cli.notices import notices
    from firkin.cli.session import with_engine
    from firkin.engine.heir import Wishes

    async def restore(engine: Engine) -> int:
        with notices(quiet=False):
            container = await engine.restore(snapshot, Wishes(name=name))
        print(container.id, flush=True)
        return 0

    return with_engine(restore)
