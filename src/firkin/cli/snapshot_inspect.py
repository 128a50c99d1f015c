"""`firkin snapshot inspect`: everything known about snapshots."""

from __future__ import annotations

from typing import Any

import click


@click.command("inspect")
@click.option("-f", "--format", "form", default="", metavar="FORMAT",
              help="json, or a template such as '{{.Kind}}'; indented JSON otherwise.")  # fmt: skip
@click.argument("names", nargs=-1, required=True, metavar="SNAPSHOT...")
def command(form: str, names: tuple[str, ...]) -> int:
    """Show everything known about snapshots.

    Containers and Children are those that stand on it.
    """
    from firkin.cli.listing import say_inspected
    from firkin.cli.report import report
    from firkin.engine.snapshot_summary import facts
    from firkin.errors import FirkinError
    from firkin.settings import Settings
    from firkin.snapshot.record import find

    paths = Settings.load().paths
    found: list[dict[str, Any]] = []
    status = 0
    for name in names:
        try:
            found.append(facts(paths, find(paths, name)))
        except FirkinError as error:
            status = report(error)
    say_inspected(found, form)
    return status
