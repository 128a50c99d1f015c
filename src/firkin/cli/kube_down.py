"""`firkin kube down`: the pods of a manifest taken away again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("down")
@click.option("--force", is_flag=True, help="Remove the volumes of its claims, too.")
@click.argument("file", metavar="FILE|-")
def command(force: bool, file: str) -> int:
    """Stop and remove the pods of a manifest.

    Those that are not there are no error. Volumes stay, unless --force is given. Nothing but the kinds and
    names in the manifest matters.
    """
    from firkin.cli.kube_play import show
    from firkin.cli.session import with_engine
    from firkin.kube.source import text_of

    text, name = text_of(file)

    async def down(engine: Engine) -> int:
        from firkin.kube import manifest
        from firkin.kube import play as playing

        gone = await playing.down(engine, manifest.names(text, name))
        show("Pods removed:", [each.record.id for each in gone])
        if force:
            show("Volumes removed:", playing.remove_volumes(engine, manifest.claims(text, name)))
        return 0

    return with_engine(down)
