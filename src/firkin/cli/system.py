"""`firkin system prune`, for those who know it from Docker."""

from __future__ import annotations

import click

from firkin.cli import prune


@click.group()
def command() -> None:
    """`docker system prune` is `firkin prune`."""


command.add_command(prune.command, "prune")
