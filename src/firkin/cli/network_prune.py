"""`firkin network prune`: remove unused private networks."""

from __future__ import annotations

import click


@click.command("prune")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE",
              help="Only those with that name, id, driver or label.")  # fmt: skip
def command(force: bool, filters: tuple[str, ...]) -> int:
    """Remove private networks that no container uses. Prints what was removed."""
    from firkin.cli.network_row import network_filter
    from firkin.cli.prune import agreed
    from firkin.engine.networks import prune
    from firkin.settings import Settings

    wanted = network_filter(filters)
    if not force and not agreed("This removes the private networks that no container uses. Go on?"):
        return 0
    click.echo("".join(f"{name}\n" for name in prune(Settings.load().paths, wanted)), nl=False)
    return 0
