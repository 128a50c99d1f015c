"""`firkin export`: a container's root file system as a tar archive."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from firkin.errors import UsageError

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.option(
    "-o", "--output", default="", metavar="FILE", help="Write to this file, not to standard output."
)
@click.argument("name", metavar="CONTAINER")
def command(output: str, name: str) -> None:
    """Write the files of a container as a tar archive.

    Volumes and what else is mounted are left out: their places are empty directories. `firkin import` makes
    an image of it; `firkin commit` keeps the image's config, and only what changed.

    \b
    firkin export web | tar -t
    """
    from firkin.cli.session import with_engine

    if not output and sys.stdout.isatty():
        raise UsageError("an archive is nothing for a terminal", hint="name a file with -o, or redirect it")

    async def work(engine: Engine) -> None:
        from firkin.engine.copying import ROOT_FILE_SYSTEM, write_archive
        from firkin.engine.opened_trees import trees_of

        async with trees_of(await engine.container(name), engine.settings) as trees:
            await write_archive(trees, ROOT_FILE_SYSTEM, output or sys.stdout.buffer)

    with_engine(work)
