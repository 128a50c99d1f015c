"""`firkin snapshot import`: a snapshot from elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, BinaryIO

import click

from firkin.cli.notices import left_out
from firkin.events import subscribed

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("import")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.argument("source", metavar="FILE|-")
@click.argument("name", default="", metavar="[NAME]")
def command(quiet: bool, source: str, name: str) -> None:
    """Take in a snapshot that was exported.

    It gets the name that it had, or NAME, which is printed. A snapshot is a program that runs: take it only
    from whom you would let run programs. policy.json is obeyed (transport oci-archive), everything is
    verified before it is listed, and ports that it published are left out.
    """
    from firkin.cli.progress import progress
    from firkin.cli.session import with_engine
    from firkin.engine.snapshot_moves import import_archive

    archive: str | BinaryIO = sys.stdin.buffer if source == "-" else source

    async def work(engine: Engine) -> str:
        with subscribed(left_out), progress(quiet=quiet):
            return (await import_archive(engine.settings, archive, name)).name

    click.echo(with_engine(work))
