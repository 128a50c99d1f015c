"""`firkin volume ls`: volumes."""

from __future__ import annotations

import click

from firkin.cli.options import format_option


@click.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Print only the names.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE",
              help="Only those with that name, driver, label or dangling=true.")  # fmt: skip
@format_option("a table")
def command(quiet: bool, filters: tuple[str, ...], form: str) -> int:
    """List volumes.

    SIZE is what one takes on the disk, LINKS how many containers use it.
    """
    from firkin.cli.listing import listing
    from firkin.cli.report import report
    from firkin.cli.volume_row import COLUMNS, HEADINGS, volume_filter, volume_row
    from firkin.engine.volume_summary import summaries
    from firkin.errors import FirkinError
    from firkin.settings import Settings

    wanted = volume_filter(filters)
    problems: list[FirkinError] = []
    paths = Settings.load().paths
    rows = [volume_row(each, paths) for each in summaries(paths, problems.append) if wanted(each)]
    form = "{{.Name}}" if quiet and not form else form
    click.echo(listing(rows, HEADINGS, COLUMNS, form), nl=False)
    return max(map(report, problems), default=0)
