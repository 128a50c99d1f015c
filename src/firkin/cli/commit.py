"""`firkin commit`: a container as an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.option("-a", "--author", default="", metavar="NAME", help="Who made it.")
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="INSTRUCTION",
    help="Configure the image as a Dockerfile does: CMD, ENTRYPOINT, ENV, USER, WORKDIR, ...",
)  # fmt: skip
@click.option("-m", "--message", default="", metavar="TEXT", help="A remark for the image's history.")
@click.option("-p", "--pause", is_flag=True, help="Hold its writes meanwhile; that is always done.")
@click.argument("container", metavar="CONTAINER")
@click.argument("name", default="", metavar="[NAME[:TAG]]")
def command(
    *, author: str, changes: tuple[str, ...], message: str, pause: bool, container: str, name: str
) -> None:
    """Make an image of a container.

    It is the image of the container with a layer of what changed, and runs what the container was told to
    run. Volumes and what else is mounted are not in it, nor is
    its memory, which `firkin snapshot create` keeps. The image's id goes to standard output.

    \b
    firkin commit -c 'CMD ["serve"]' web web:2 && firkin push web:2
    """
    from firkin.cli.session import with_engine

    async def work(engine: Engine) -> str:
        from firkin.engine.commit import commit

        image = await commit(
            await engine.container(container), engine.settings, name,
            author=author, message=message, config_changes=changes,
        )  # fmt: skip
        return str(image.config_digest)

    click.echo(with_engine(work))
