"""`firkin version`: what is running here. It must stay cheap: no settings, no engine, no asyncio."""

from __future__ import annotations

import os
import platform

import click

from firkin import __version__
from firkin.cli.options import format_option


@click.command()
@format_option("table")
def command(form: str) -> None:
    """Show the version."""
    system = os.uname()
    facts = {
        "Version": __version__,
        "Python": platform.python_version(),
        "Os": system.sysname.lower(),
        "Arch": system.machine,
        "KernelVersion": system.release,
    }
    if form:
        from firkin.cli.listing import shown

        click.echo(shown(facts, form), nl=False)
        return
    click.echo(
        f"firkin  {facts['Version']}\n"
        f"Python  {facts['Python']}\n"
        f"host    {system.sysname} {system.release} {system.machine}"
    )
