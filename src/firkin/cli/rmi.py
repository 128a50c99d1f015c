"""`firkin rmi`: remove images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.option("-f", "--force", is_flag=True, help="Also where containers stand on the image.")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...")
def command(force: bool, names: tuple[str, ...]) -> int:
    """Remove names of images, and images without a name.

    Data that no other image or container uses goes with the last name.
    """
    from firkin.cli.session import each, with_engine

    async def remove(engine: Engine) -> int:
        async def one(name: str) -> str:
            return "\n".join(await engine.remove_image(name, force=force))

        return await each(names, one)

    return with_engine(remove)
