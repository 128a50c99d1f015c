"""`firkin generate`: documents that say what a container would be."""

from __future__ import annotations

import click

from firkin.cli.subcommands import Subcommands

COMMANDS = {"spec": ("generate_spec", "Print the config.json that a run would have.")}


@click.group(cls=Subcommands, lines=COMMANDS)
def command() -> None:
    """Print what containers would be, for other tools."""
