"""`firkin network inspect`: everything known about private networks."""

from __future__ import annotations

from typing import Any

import click


@click.command("inspect")
@click.option("-f", "--format", "form", default="", metavar="FORMAT",
              help="json, or a template such as '{{.IPAM.Config}}'; indented JSON otherwise.")  # fmt: skip
@click.argument("names", nargs=-1, required=True, metavar="NETWORK...")
def command(form: str, names: tuple[str, ...]) -> int:
    """Show everything known about private networks.

    Containers are those that use it, whether they run or not.
    """
    from firkin.cli.listing import say_inspected
    from firkin.cli.report import report
    from firkin.engine.networks import facts
    from firkin.errors import FirkinError
    from firkin.settings import Settings

    paths = Settings.load().paths
    found: list[dict[str, Any]] = []
    status = 0
    for name in names:
        try:
            found.append(facts(paths, name))
        except FirkinError as error:
            status = report(error)
    say_inspected(found, form)
    return status
