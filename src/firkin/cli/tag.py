"""`firkin tag`: one more name for an image."""

from __future__ import annotations

import click


@click.command()
@click.argument("source", metavar="IMAGE")
@click.argument("target", metavar="NAME[:TAG]")
def command(source: str, target: str) -> None:
    """Give an image another name.

    A name that another image has moves to this one.
    """
    from firkin.engine.engine import Engine

    Engine().tag(source, target)
