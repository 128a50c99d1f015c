"""`firkin ps`: containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import format_option, no_trunc_option, quiet_ids_option

if TYPE_CHECKING:
    from firkin.engine.summaries import ContainerSummary


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Ended ones too.")
@click.option("-l", "--latest", is_flag=True, help="Only the one made last, in any state.")
@quiet_ids_option
@no_trunc_option
@format_option("a table")
def command(everything: bool, latest: bool, quiet: bool, no_trunc: bool, form: str) -> None:
    """List containers.

    Only running ones, unless told otherwise.
    """
    from firkin.cli.container_row import COLUMNS, HEADINGS, container_row
    from firkin.cli.listing import listing
    from firkin.engine.engine import Engine

    found = sorted(Engine().containers(all=everything or latest), key=_created_ns, reverse=True)
    rows = [
        container_row(each.spec, each.state, shorten=not no_trunc) for each in found[: 1 if latest else None]
    ]
    form = "{{.ID}}" if quiet and not form else form
    click.echo(listing(rows, HEADINGS, COLUMNS, form), nl=False)


def _created_ns(summary: ContainerSummary) -> int:
    return summary.spec.created_ns
