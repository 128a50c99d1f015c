"""`firkin import`: an image from an archive of a root file system."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from firkin.cli.options import platform_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("import")
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="INSTRUCTION",
    help="Configure the image as a Dockerfile does: CMD, ENTRYPOINT, ENV, USER, WORKDIR, ...",
)  # fmt: skip
@click.option("-m", "--message", default="", metavar="TEXT", help="A remark for the image's history.")
@platform_option
@click.argument("source", metavar="FILE|-")
@click.argument("name", default="", metavar="[NAME[:TAG]]")
def command(changes: tuple[str, ...], message: str, platform: str, source: str, name: str) -> None:
    """Make an image from an archive of a root file system.

    FILE is a tar archive, plain or compressed by gzip or zstd; - reads it from standard input. The image's id
    goes to standard output.

    \b
    firkin import -c 'CMD ["sh"]' rootfs.tar.gz mine:1
    """
    from firkin.cli.session import with_engine

    async def make(engine: Engine) -> str:
        archive = sys.stdin.buffer if source == "-" else source
        image = await engine.import_image(archive, name, changes=changes, message=message, platform=platform)
        return str(image.config_digest)

    click.echo(with_engine(make))
