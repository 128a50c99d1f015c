"""`firkin snapshot ls`: snapshots, read from the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import format_option, no_trunc_option

if TYPE_CHECKING:
    from firkin.snapshot.record import Snapshot


@click.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Print only the ids.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="container=NAME",
              help="Only those of that container, by its name or id.")  # fmt: skip
@no_trunc_option
@format_option("a table")
def command(quiet: bool, filters: tuple[str, ...], no_trunc: bool, form: str) -> int:
    """List snapshots.

    Those made last come first. DISK is what its layers take, which it may share with others; KIND is full,
    or disk where there is no memory.
    """
    from firkin.cli.listing import listing
    from firkin.cli.report import say
    from firkin.cli.snapshot_row import COLUMNS, HEADINGS, snapshot_row
    from firkin.engine.snapshot_summary import summaries
    from firkin.settings import Settings

    containers = [_container(each) for each in filters]
    found, problems = summaries(Settings.load().paths)
    rows = [
        snapshot_row(each, shorten=not no_trunc)
        for each in found
        if not containers or any(_is_of(each.snapshot, name) for name in containers)
    ]
    form = "{{.ID}}" if quiet and not form else form
    click.echo(listing(rows, HEADINGS, COLUMNS, form), nl=False)
    for problem in problems:
        say(str(problem), hint=problem.hint)
    return 125 if problems else 0


def _container(text: str) -> str:
    from firkin.errors import UsageError

    key, _, value = text.partition("=")
    if key != "container" or not value:
        raise UsageError(f"there is no filter {text!r}", hint="write container=NAME")
    return value


def _is_of(snapshot: Snapshot, container: str) -> bool:
    return snapshot.container_name == container or snapshot.container.startswith(container)
