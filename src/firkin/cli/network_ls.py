"""`firkin network ls`: private networks."""

from __future__ import annotations

import click

from firkin.cli.options import format_option


@click.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Print only the ids.")
@click.option("--no-trunc", is_flag=True, help="Print ids whole.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE",
              help="Only those with that name, id, driver, label or dangling=true.")  # fmt: skip
@format_option("a table")
def command(quiet: bool, no_trunc: bool, filters: tuple[str, ...], form: str) -> int:
    """List private networks.

    LINKS is how many containers use one.
    """
    from firkin.cli.listing import listing
    from firkin.cli.network_row import COLUMNS, HEADINGS, network_filter, network_row
    from firkin.cli.report import report
    from firkin.engine.networks import summaries
    from firkin.errors import FirkinError
    from firkin.settings import Settings

    wanted = network_filter(filters)
    problems: list[FirkinError] = []
    found = summaries(Settings.load().paths, problems.append)
    rows = [network_row(each, whole=no_trunc) for each in found if wanted(each)]
    form = "{{.ID}}" if quiet and not form else form
    click.echo(listing(rows, HEADINGS, COLUMNS, form), nl=False)
    return max(map(report, problems), default=0)
