"""`firkin pull`: fetch images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import platform_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@platform_option
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...")
def command(quiet: bool, platform: str, names: tuple[str, ...]) -> int:
    """Fetch images from a registry.

    Progress goes to standard error, the full name of each fetched image to standard output. What is here
    already is not fetched again, and what was cut off goes on where it stopped.
    """
    from firkin.cli.progress import progress
    from firkin.cli.session import each, with_engine
    from firkin.oci.reference import Reference

    async def pull(engine: Engine) -> int:
        async def one(name: str) -> str:
            with progress(quiet=quiet):
                await engine.pull(name, platform=platform, policy="always")
            return str(Reference.parse(name))

        return await each(names, one)

    return with_engine(pull)
