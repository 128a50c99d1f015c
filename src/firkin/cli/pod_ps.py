"""`firkin pod ps`: pods, read from the disk."""

from __future__ import annotations

import click

from firkin.cli.options import format_option, no_trunc_option, quiet_ids_option


@click.command("ps")
@quiet_ids_option
@no_trunc_option
@format_option("a table")
def command(quiet: bool, no_trunc: bool, form: str) -> int:
    """List pods.

    Those made last come first. A pod is ready until its machine was first started, then running, paused or
    stopped.
    """
    from firkin.cli.listing import listing
    from firkin.cli.pod_row import COLUMNS, HEADINGS, pod_row
    from firkin.engine.pod_members import summaries
    from firkin.settings import Settings

    rows = [pod_row(each, shorten=not no_trunc) for each in summaries(Settings.load().paths)]
    form = "{{.ID}}" if quiet and not form else form
    click.echo(listing(rows, HEADINGS, COLUMNS, form), nl=False)
    return 0
