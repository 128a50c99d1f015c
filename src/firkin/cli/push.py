"""`firkin push`: images to a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import platform_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.events import Event


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Show no progress, and print only the full name.")
@platform_option
@click.argument("name", metavar="IMAGE")
@click.argument("destination", default="", metavar="[DESTINATION]")
def command(quiet: bool, platform: str, name: str, destination: str) -> None:
    """Send an image to a registry.

    DESTINATION is its name there, such as registry.example/team/app:1; without it, IMAGE is. What the
    registry has already is not sent again, and what was cut off goes on where it stopped. Of a name for
    several platforms all are pushed if all are here, else this host's. Progress goes to standard error; the
    tag, its digest and the size of its manifest go to standard output.

    \b
    firkin push mine:1 registry.example/mine:1
    """
    from firkin.cli.progress import progress
    from firkin.cli.session import with_engine
    from firkin.events import subscribed

    async def push(engine: Engine) -> str:
        with subscribed(_say_partial), progress(quiet=quiet):
            pushed = await engine.push(name, destination, platform=platform)
        tag = pushed.reference.rpartition(":")[2]
        return pushed.reference if quiet else f"{tag}: digest: {pushed.digest} size: {pushed.size_bytes}"

    click.echo(with_engine(push))


def _say_partial(event: Event) -> None:
    from firkin.cli.report import say

    if event.name == "push.partial":
        say(
            f"pushing one platform's image only: {event.fields['absent']} not here",
            hint="pull the others with --platform to push them all under one name",
        )
