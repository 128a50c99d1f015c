"""`firkin diff`: what a container changed in its image's files."""

from __future__ import annotations

import click

from firkin.cli.options import format_option


@click.command()
@format_option("a line for each")
@click.argument("name", metavar="CONTAINER")
def command(form: str, name: str) -> None:
    """Show what a container changed in the files of its image.

    A added, C changed, D deleted. The container must not be running. The files that firkin itself puts into
    every container (/etc/hostname, /etc/hosts, /etc/resolv.conf) are left out.
    """
    from firkin.cli.changes import print_changes
    from firkin.engine.diffs import of_container
    from firkin.settings import Settings

    with of_container(Settings.load().paths, name) as changes:
        print_changes(changes, form)
