"""`firkin ps`: containers, read from the disk: an Engine would take longer to import than to do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import format_option, no_trunc_option, quiet_ids_option

if TYPE_CHECKING:
    from firkin.engine.container_filter import Filters
    from firkin.engine.summaries import ContainerSummary
    from firkin.paths import Paths


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Ended ones too.")
@click.option(
    "-n",
    "--last",
    type=click.IntRange(min=0),
    default=None,
    metavar="N",
    help="Only the N that were made last, in any state.",
)
@click.option("-l", "--latest", is_flag=True, help="Only the one made last, in any state.")
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only those: by id, name, label, status, health, exited, ancestor, before, since or volume.",
)
@click.option("-p", "--pod", "with_pods", is_flag=True, help="Show in which pod they are.")
@click.option("-s", "--size", "sized", is_flag=True, help="Show what they wrote to their disks.")  # fmt: skip
@quiet_ids_option
@no_trunc_option
@format_option("a table")
def command(
    everything: bool,
    last: int | None,
    latest: bool,
    filters: tuple[str, ...],
    with_pods: bool,
    sized: bool,
    quiet: bool,
    no_trunc: bool,
    form: str,
) -> int:
    """List containers.

    Only running ones, unless told otherwise; those made last come first. Filters of one key are
    alternatives, but labels must all be there, and every key must hold.
    """
    from firkin.cli.container_row import COLUMNS, HEADINGS, container_row
    from firkin.cli.listing import listing
    from firkin.cli.report import say
    from firkin.engine.summaries import summaries
    from firkin.settings import Settings

    paths = Settings.load().paths
    wanted = _wanted(filters, paths)
    last = 1 if latest else last
    found = summaries(paths, all=everything or last is not None or wanted.any_state)
    broken = [each for each in found if each.problem]
    readable = [each for each in found if not each.problem and wanted.match(each)][:last]
    rows = [
        container_row(each.spec, each.state, shorten=not no_trunc, health=each.health) for each in readable
    ]
    if sized:
        rows = [row | {"Size": _size(each, paths)} for row, each in zip(rows, readable, strict=True)]
    if with_pods:
        rows = [row | _pod(each, paths, no_trunc=no_trunc) for row, each in zip(rows, readable, strict=True)]
    columns = (*COLUMNS, *(("Pod", "PodName") if with_pods else ()), *(("Size",) if sized else ()))
    form = "{{.ID}}" if quiet and not form else form
    click.echo(listing(rows, HEADINGS, columns, form), nl=False)
    for each in broken:
        say(each.problem, hint=f"`firkin rm -f {each.spec.id[:12]}` removes what is left of it")
    return 125 if broken else 0


def _wanted(filters: tuple[str, ...], paths: Paths) -> Filters:
    from firkin.engine.container_filter import Filters

    return Filters.parse(filters, paths)


def _pod(summary: ContainerSummary, paths: Paths, *, no_trunc: bool) -> dict[str, str]:
    """The pod that it is in, with podman's names for the fields; nothing where it is in none."""
    from firkin.container.pod import Member
    from firkin.container.record import Record
    from firkin.errors import FirkinError

    place = summary.spec.pod
    if not isinstance(place, Member):
        return {"Pod": "", "PodName": ""}
    try:
        name = Record(paths, place.pod).spec().name
    except FirkinError:  # it is being removed
        name = ""
    return {"Pod": place.pod if no_trunc else place.pod[:12], "PodName": name}


def _size(summary: ContainerSummary, paths: Paths) -> str:
    """What it wrote to its disk, and with its image."""
    from firkin.container.layers import written_bytes
    from firkin.container.record import Record
    from firkin.units import format_size

    written, image = written_bytes(Record(paths, summary.spec.id))
    return f"{format_size(written)} (virtual {format_size(written + image)})"
