"""`firkin healthcheck`: the health checks of containers, beside those that are made by themselves."""

from __future__ import annotations

import click

from firkin.cli.subcommands import Subcommands


@click.group(
    "healthcheck",
    cls=Subcommands,
    lines={"run": ("healthcheck_run", "Find out now whether a container is healthy.")},
)
def command() -> None:
    """Find out whether containers are healthy."""
