"""`firkin load`: images out of an archive."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, BinaryIO

import click

from firkin.errors import UsageError

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.engine.image_load import Loaded


@click.command()
@click.option("-i", "--input", "source", default="", metavar="FILE", help="Read this, not standard input.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(source: str, quiet: bool) -> None:
    """Take in the images of an archive, with their names.

    Archives of `firkin save`, docker save, podman save and skopeo (docker-archive and oci-archive), plain or
    compressed by gzip or zstd. policy.json is obeyed, and everything is verified before it has a name.

    \b
    firkin load -i box.tar
    """
    from firkin.cli.progress import progress
    from firkin.cli.session import with_engine
    from firkin.engine.image_load import load

    if not source and sys.stdin.isatty():
        raise UsageError("a terminal gives no archive", hint="name a file with -i, or redirect it")
    archive: str | BinaryIO = source if source not in ("", "-") else sys.stdin.buffer

    async def work(engine: Engine) -> list[Loaded]:
        with progress(quiet=quiet):
            return await load(engine.settings, archive)

    for loaded in with_engine(work):
        for name in loaded.names:
            click.echo(f"Loaded image: {name}")
        if not loaded.names:
            click.echo(f"Loaded image ID: {loaded.image.config_digest}")
