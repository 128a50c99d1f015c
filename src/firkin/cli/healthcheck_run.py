"""`firkin healthcheck run`: one health check, now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.argument("name", metavar="CONTAINER")
def command(name: str) -> int:
    """Find out now whether a container is healthy.

    It counts as the checks that are made by themselves. The exit status is 0 where it succeeds; else it is 1,
    and what the command said is printed.
    """
    from firkin.cli.session import with_engine

    async def run(engine: Engine) -> int:
        probe = await (await engine.container(name)).check_health()
        if not probe.ok:
            click.echo(f"unhealthy: {probe.output.strip() or f'exit status {probe.exit_code}'}")
        return 0 if probe.ok else 1

    return with_engine(run)
