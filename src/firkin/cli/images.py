"""`firkin images`: what is in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import format_option, no_trunc_option, quiet_ids_option

if TYPE_CHECKING:
    from firkin.engine.image_summary import ImageSummary


@click.command()
@quiet_ids_option
@no_trunc_option
@click.option("--digests", is_flag=True, help="Show what registries call them.")
@format_option("a table")
@click.argument("name", default="", metavar="[REPOSITORY[:TAG]]")
def command(quiet: bool, no_trunc: bool, digests: bool, form: str, name: str) -> int:
    """List images.

    With a name, only those of that repository or tag.
    """
    from firkin.cli.image_row import COLUMNS, HEADINGS, image_row
    from firkin.cli.listing import listing
    from firkin.cli.report import say
    from firkin.engine.image_summary import summaries
    from firkin.settings import Settings
    from firkin.store.store import Store

    found = [each for each in summaries(Store(Settings.load().paths)) if not name or name in _names(each)]
    readable = [each for each in found if not each.problem]
    for broken in (each for each in found if each.problem):
        say(f"cannot read image {broken.reference}: {broken.problem}", hint=f"firkin rmi {broken.reference}")
    rows = [image_row(each, shorten=not no_trunc) for each in readable]
    columns = (*COLUMNS[:2], "Digest", *COLUMNS[2:]) if digests else COLUMNS
    if quiet and not form:
        form, rows = "{{.ID}}", list({row["ID"]: row for row in rows}.values())
    click.echo(listing(rows, HEADINGS, columns, form), nl=False)
    return 125 if len(readable) < len(found) else 0


def _names(image: ImageSummary) -> set[str]:
    """What a person may write for it."""
    return {
        image.reference,
        image.reference.removesuffix(f":{image.tag}"),
        image.repository,
        f"{image.repository}:{image.tag}",
    }
