"""`firkin snapshot inspect`: everything known about snapshots."""

from __future__ import annotations

import click


@click.command("inspect")
@click.option("-f", "--format", "form", default="", metavar="FORMAT",
              help="json, or a template such as '{{.Kind}}'; indented JSON otherwise.")  # fmt: skip
@click.argument("names", nargs=-1, required=True, metavar="SNAPSHOT...")
def command(form: str, names: tuple[str, ...]) -> int:
    """Show everything known about snapshots.

    Containers and Children are those that stand on it.
    """
    from firkin.cli.listing import inspect
    from firkin.engine.snapshot_summary import facts
    from firkin.settings import Settings
    from firkin.snapshot.record import find

    paths = Settings.load().paths
    return inspect(names, lambda name: facts(paths, find(paths, name)), form)
