"""`firkin pull`: fetch images, and snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import platform_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option(
    "--name",
    "snapshot_name",
    default="",
    metavar="NAME",
    help="Give a fetched snapshot this name, not the one that it had.",
)
@platform_option
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...")
def command(quiet: bool, snapshot_name: str, platform: str, names: tuple[str, ...]) -> int:
    """Fetch images and snapshots from a registry.

    Progress goes to standard error, the full name of each fetched image, or the name of each snapshot, to
    standard output. What is here already is not fetched again, and what was cut off goes on where it stopped.
    """
    from firkin.cli.notices import left_out
    from firkin.cli.progress import progress
    from firkin.cli.session import each, with_engine
    from firkin.engine.images import Images
    from firkin.events import subscribed
    from firkin.oci.image import Image
    from firkin.oci.reference import Reference

    async def pull(engine: Engine) -> int:
        async def one(name: str) -> str:
            with subscribed(left_out), progress(quiet=quiet):
                images = Images(engine.settings)
                pulled = await images.pull_any(name, platform=platform, snapshot_name=snapshot_name)
            return str(Reference.parse(name)) if isinstance(pulled, Image) else pulled.name

        return await each(names, one)

    return with_engine(pull)
