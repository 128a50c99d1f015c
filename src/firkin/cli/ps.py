"""`firkin ps`: containers, read from the disk: an Engine would take longer to import than to do it."""

from __future__ import annotations

import click

from firkin.cli.options import format_option, no_trunc_option, quiet_ids_option


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Ended ones too.")
@click.option("-l", "--latest", is_flag=True, help="Only the one made last, in any state.")
@quiet_ids_option
@no_trunc_option
@format_option("a table")
def command(everything: bool, latest: bool, quiet: bool, no_trunc: bool, form: str) -> int:
    """List containers.

    Only running ones, unless told otherwise; those made last come first.
    """
    from firkin.cli.container_row import COLUMNS, HEADINGS, container_row
    from firkin.cli.listing import listing
    from firkin.cli.report import say
    from firkin.engine.summaries import summaries
    from firkin.settings import Settings

    found = summaries(Settings.load().paths, all=everything or latest)
    broken = [each for each in found if each.problem]
    readable = [each for each in found if not each.problem][: 1 if latest else None]
    rows = [container_row(each.spec, each.state, shorten=not no_trunc) for each in readable]
    form = "{{.ID}}" if quiet and not form else form
    click.echo(listing(rows, HEADINGS, COLUMNS, form), nl=False)
    for each in broken:
        say(each.problem, hint=f"`firkin rm -f {each.spec.id[:12]}` removes what is left of it")
    return 125 if broken else 0
