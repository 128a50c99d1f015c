"""`firkin import`: an image from an archive of a root file system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    pass


@click.command("import")
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="INSTRUCTION",
    help="Set part of the image's configuration, as a Dockerfile does: CMD, ENV, ENTRYPOINT, USER, WORKDIR, "
    "EXPOSE, VOLUME, LABEL, STOPSIGNAL.",
)  # fmt: skip
@click.option("-m", "--message", default="", metavar="TEXT", help="A remark for the image's history.")
@platform_option
@click.argument("source", metavar="FILE|-")
@click.argument("name", default="", metavar="[NAME[:TAG]]")
def command(changes: tuple[str, ...], message: str, platform: str, source: str, name: str) -> int:
    """Make an image from an archive of a root file system.

    FILE is a tar archive, plain or compressed by gzip or zstd; - reads it from standard input. The image's id
    goes to standard output.
    """
