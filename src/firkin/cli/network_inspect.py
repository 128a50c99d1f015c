"""`firkin network inspect`: everything known about private networks."""

from __future__ import annotations

import click


@click.command("inspect")
@click.option("-f", "--format", "form", default="", metavar="FORMAT",
              help="json, or a template such as '{{.IPAM.Config}}'; indented JSON otherwise.")  # fmt: skip
@click.argument("names", nargs=-1, required=True, metavar="NETWORK...")
def command(form: str, names: tuple[str, ...]) -> int:
    """Show everything known about private networks.

    Containers are those that use it, whether they run or not.
    """
    from firkin.cli.listing import inspect
    from firkin.engine.networks import facts
    from firkin.settings import Settings

    paths = Settings.load().paths
    return inspect(names, lambda name: facts(paths, name), form)
