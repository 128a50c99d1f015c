"""`firkin network disconnect`: a container leaves a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("disconnect")
@click.option("-f", "--force", is_flag=True, help="It is no error where it is not on it.")
@click.argument("network")
@click.argument("container")
def command(force: bool, network: str, container: str) -> int:
    """Let a container leave a network, at once where it runs.

    `user` is one, too: without it and without another that leads outside, it reaches nothing there. One that
    runs keeps that.
    """
    from firkin.cli.session import with_engine
    from firkin.engine.joining import Leave

    change = Leave(network=network, force=force)

    async def disconnect(engine: Engine) -> int:
        await (await engine.container(container)).rewire(change)
        return 0

    return with_engine(disconnect)
