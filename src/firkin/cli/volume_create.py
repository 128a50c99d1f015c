"""`firkin volume create`: a volume."""

from __future__ import annotations

import click


@click.command("create")
@click.option(
    "-d",
    "--driver",
    default="",
    metavar="disk|dir",
    help="A disk of its own (also called local), or a directory of this host.",
)
@click.option(
    "-o",
    "--opt",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="size=10g; type=disk or dir; device=/PATH, an existing directory for type=dir.",
)
@click.option("-l", "--label", "labels", multiple=True, metavar="NAME=VALUE", help="Label it.")
@click.argument("name", default="", metavar="[NAME]")
def command(driver: str, options: tuple[str, ...], labels: tuple[str, ...], name: str) -> int:
    """Make a volume.

    Without a name it gets one of 64 digits. Where there is one of that name, as asked for, it stays. Prints
    the name.
    """
    from firkin.engine.volume_summary import create
    from firkin.engine.words import pairs
    from firkin.settings import Settings

    chosen = pairs("opt", options)
    made = create(Settings.load(), name, driver=driver, options=chosen, labels=pairs("label", labels))
    click.echo(made.name)
    return 0
