"""`firkin version`: what is running here. main answers the bare words without importing this, or click."""

from __future__ import annotations

import click

from firkin.cli.options import format_option
from firkin.cli.version_facts import version_facts, version_lines


@click.command()
@format_option("lines")
def command(form: str) -> None:
    """Show the version."""
    if form:
        from firkin.cli.listing import shown

        click.echo(shown(version_facts(), form), nl=False)
    else:
        click.echo(version_lines(), nl=False)
