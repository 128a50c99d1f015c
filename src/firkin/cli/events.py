"""`firkin events`: what happens to containers, images, volumes and networks, as it happens."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from firkin.cli.options import format_option

if TYPE_CHECKING:
    from firkin.container.journal import Happening
    from firkin.engine.engine import Engine


@click.command()
@click.option(
    "--since",
    default="",
    metavar="TIME",
    help="From then on (RFC 3339, or seconds since 1970), or so long ago (10m); else from now on.",
)
@click.option("--until", default="", metavar="TIME", help="Until then; else until it is interrupted.")
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only these: type=, event=, container=, image=, volume=, network=, label=.",
)
@format_option("a line of text")
def command(since: str, until: str, filters: tuple[str, ...], form: str) -> None:
    """Show what happens to containers, images, volumes and networks.

    Whichever process does it. What happened before now is kept too, as far as about a megabyte goes.
    """
    from firkin.cli.instant import parse_instant
    from firkin.cli.listing import shown
    from firkin.cli.session import with_engine
    from firkin.cli.template import Template
    from firkin.engine.happenings import Wanted, happenings

    now_ns = time.time_ns()
    since_ns = parse_instant(since, now_ns) if since else None
    until_ns = parse_instant(until, now_ns) if until else None
    wanted = Wanted.parse(filters)
    if form not in ("", "json"):
        Template.parse(form)

    async def events(engine: Engine) -> None:
        async for each in happenings(engine.paths, wanted, since_ns=since_ns, until_ns=until_ns):
            sys.stdout.write(shown(_facts(each), form) if form else f"{_line(each)}\n")
            sys.stdout.flush()

    with_engine(events)


def _line(happening: Happening) -> str:
    from firkin.cli.ago import rfc3339

    of = ", ".join(f"{key}={value}" for key, value in sorted(happening.attributes.items()))
    return f"{rfc3339(happening.time_ns)} {happening.type} {happening.action} {happening.id} ({of})"


def _facts(happening: Happening) -> dict[str, Any]:
    """As the Docker API tells an event."""
    return {
        "Type": happening.type,
        "Action": happening.action,
        "Actor": {"ID": happening.id, "Attributes": happening.attributes},
        "scope": "local",
        "time": happening.time_ns // 10**9,
        "timeNano": happening.time_ns,
    }
