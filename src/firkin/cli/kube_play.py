"""`firkin kube play`: the pods of a manifest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from firkin.cli.booleans import Booleans

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.events import Event


@click.command("play", cls=Booleans)
@click.option("--start/--no-start", default=True, show_default=True, help="Start them, too.")
@click.option("--replace", is_flag=True, help="Remove pods of the same names first.")
@click.option("--down", is_flag=True, help="Stop and remove the manifest's pods instead; volumes stay.")
@click.option(
    "--configmap",
    "configmaps",
    multiple=True,
    metavar="FILE",
    help="Let it use the ConfigMaps and Secrets of this file, too.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress, and no notices.")
@click.argument("file", metavar="FILE|-")
def command(
    *, start: bool, replace: bool, down: bool, configmaps: tuple[str, ...], quiet: bool, file: str
) -> int:
    """Make and start the pods of a manifest.

    Of its documents those of kind Pod and Deployment are pods, ConfigMap and Secret what those use, and
    PersistentVolumeClaim a volume. A container is called POD-CONTAINER.

    \b
    firkin kube play web.yaml
    firkin kube down web.yaml
    """
    from firkin.cli.notices import notices
    from firkin.cli.progress import progress
    from firkin.cli.session import with_engine
    from firkin.events import subscribed
    from firkin.kube.source import text_of

    text, name = text_of(file)
    more = [text_of(each) for each in configmaps]

    async def play(engine: Engine) -> int:
        from firkin.kube import manifest
        from firkin.kube import play as playing

        if down:
            gone = await playing.down(engine, manifest.names(text, name))
            show("Pods removed:", [each.record.id for each in gone])
            return 0
        with subscribed(_unused), progress(quiet=quiet), notices(quiet=quiet):
            wanted = playing.read(engine, text, name, more)
            made = await playing.play(engine, wanted, start=start, replace=replace)
        for each in made:
            show("Pod:", [each.pod.record.id])
            show("Containers:", each.containers)
        return 0

    return with_engine(play)


def show(heading: str, ids: Iterable[str]) -> None:
    """Print ids below `heading`, as podman does."""
    click.echo("\n".join((heading, *ids)))


def _unused(event: Event) -> None:
    """A subscriber that names what of a manifest changes nothing."""
    if event.name == "kube.unused":
        from firkin.cli.report import say

        say(
            f"{event.fields['manifest']}: not honoured here: {event.fields['fields']}",
            hint="everything else is; leave them out to be rid of this warning",
        )
