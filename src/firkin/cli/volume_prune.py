"""`firkin volume prune`: give back what unused volumes hold."""

from __future__ import annotations

import click


@click.command("prune")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("-a", "--all", "everything", is_flag=True, help="Also volumes that somebody named.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE",
              help="Only those with that name, driver or label.")  # fmt: skip
def command(force: bool, everything: bool, filters: tuple[str, ...]) -> int:
    """Remove volumes that no container uses.

    Those that somebody named stay, unless --all is given. Prints what was removed.
    """
    from firkin.cli.prune import agreed
    from firkin.cli.volume_row import volume_filter
    from firkin.engine.volume_summary import prune
    from firkin.settings import Settings
    from firkin.units import format_size

    wanted = volume_filter(filters)
    which = "all volumes" if everything else "the volumes without a name of their own"
    if not force and not agreed(f"This removes {which} that no container uses, for ever. Go on?"):
        return 0
    gone, given_back = prune(Settings.load().paths, all=everything, wanted=wanted)
    click.echo("".join(f"{name}\n" for name in gone), nl=False)
    click.echo(f"gave back {format_size(given_back)}")
    return 0
