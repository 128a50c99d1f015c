"""`firkin system prune` and `system info`, for those who know them from Docker."""

from __future__ import annotations

import click

from firkin.cli import info, prune


@click.group()
def command() -> None:
    """`docker system prune` is `firkin prune`."""


command.add_command(prune.command, "prune")
command.add_command(info.command, "info")
