"""`firkin snapshot export`: a snapshot as one file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, BinaryIO

import click

from firkin.errors import UsageError

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("export")
@click.option(
    "-o", "--output", default="", metavar="FILE", help="Write to this file, not to standard output."
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.argument("name", metavar="SNAPSHOT")
def command(output: str, quiet: bool, name: str) -> None:
    """Write a snapshot to a file, to be imported elsewhere.

    Memory, disk and image are in it: an OCI archive, compressed, without what is zero or recurs. It holds all
    that the container knew, such as keys in its memory. `firkin push` brings the same to a registry.

    \b
    firkin snapshot export web-1 -o web-1.tar
    """
    from firkin.cli.progress import progress
    from firkin.cli.session import with_engine
    from firkin.engine.snapshot_moves import export

    if not output and sys.stdout.isatty():
        raise UsageError("a snapshot is nothing for a terminal", hint="name a file with -o, or redirect it")
    target: str | BinaryIO = output or sys.stdout.buffer

    async def work(engine: Engine) -> None:
        with progress(quiet=quiet):
            await export(engine.settings, name, target)

    with_engine(work)
