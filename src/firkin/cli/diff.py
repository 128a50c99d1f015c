"""`firkin diff`: what a container changed in its image's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import format_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.snapshot.diff import Change


@click.command()
@format_option("a line for each")
@click.argument("name", metavar="CONTAINER")
def command(form: str, name: str) -> None:
    """Show what a container changed in the files of its image.

    A added, C changed, D deleted. The writes of a running container wait for the moment that this takes; not
    those of one in a pod or with a writable layer, whose files are told as they are when their turn comes.
    The files that firkin itself puts into every container (/etc/hostname, /etc/hosts, /etc/resolv.conf) are
    left out.
    """
    from firkin.cli.changes import print_changes
    from firkin.cli.session import with_engine
    from firkin.engine.diffs import of_container

    async def diff(engine: Engine) -> list[Change]:
        return await of_container(engine.settings, await engine.container(name))

    print_changes(with_engine(diff), form)
