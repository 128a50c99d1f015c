"""`firkin pod inspect`: everything known about pods."""

from __future__ import annotations

from typing import Any

import click


@click.command("inspect")
@click.option("-f", "--format", "form", default="", metavar="FORMAT",
              help="json, or a template such as '{{.State}}'; indented JSON otherwise.")  # fmt: skip
@click.argument("names", nargs=-1, required=True, metavar="POD...")
def command(form: str, names: tuple[str, ...]) -> int:
    """Show everything known about pods.

    `firkin inspect` shows their containers.
    """
    from firkin.cli.listing import say_inspected
    from firkin.cli.report import report
    from firkin.engine.pod_facts import pod_facts
    from firkin.engine.pod_members import find, summary
    from firkin.errors import FirkinError
    from firkin.settings import Settings

    paths = Settings.load().paths
    found: list[dict[str, Any]] = []
    status = 0
    for name in names:
        try:
            found.append(pod_facts(summary(find(paths, name))))
        except FirkinError as error:
            status = report(error)
    say_inspected(found, form)
    return status
