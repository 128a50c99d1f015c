"""`firkin save`: images as one file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, BinaryIO

import click

from firkin.cli.options import platform_option
from firkin.errors import UsageError

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.engine.image_save import ArchiveFormat


@click.command()
@click.option(
    "-o", "--output", default="", metavar="FILE", help="Write to this file, not to standard output."
)
@click.option(
    "--format",
    "form",
    default="docker-archive",
    metavar="docker-archive|oci-archive",
    show_default=True,
    help="How: layers uncompressed, as docker save does, or everything as it is at a registry.",
)
@platform_option
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...")
def command(output: str, form: str, platform: str, names: tuple[str, ...]) -> None:
    """Write images to an archive, with their names.

    `firkin load`, docker load, podman load and skopeo read either format.

    \b
    firkin save -o box.tar busybox
    firkin save --format oci-archive busybox debian | zstd > both.tar.zst
    """
    from firkin.cli.session import with_engine
    from firkin.engine.image_save import ArchiveFormat, save
    from firkin.engine.words import choice

    if not output and sys.stdout.isatty():
        raise UsageError("an image is nothing for a terminal", hint="name a file with -o, or redirect it")
    chosen: ArchiveFormat = choice("format", form, ArchiveFormat)
    target: str | BinaryIO = output or sys.stdout.buffer

    async def work(engine: Engine) -> None:
        await save(engine.settings, names, target, form=chosen, platform=platform)

    with_engine(work)
