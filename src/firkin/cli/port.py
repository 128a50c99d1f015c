"""`firkin port`: where the ports of a container are reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.machine.spec import PublishedPort


@click.command()
@click.argument("name", metavar="CONTAINER")
@click.argument("wanted", default="", metavar="[PORT[/udp]]")
def command(name: str, wanted: str) -> None:
    """Show where the ports of a container are reached.

    With PORT, only where that one is.
    """
    from firkin.cli.container_row import at_host
    from firkin.cli.session import with_engine

    async def published(engine: Engine) -> tuple[PublishedPort, ...]:
        return tuple(getattr((await engine.container(name)).state, "ports", ()))

    ports = with_engine(published)
    for port in _chosen(name, ports, wanted) if wanted else ports:
        inside = "" if wanted else f"{port.guest_port}/{port.protocol} -> "
        click.echo(f"{inside}{at_host(port)}")


def _chosen(name: str, ports: tuple[PublishedPort, ...], wanted: str) -> list[PublishedPort]:
    """Those that `wanted` names. Raises UsageError."""
    from firkin.engine.network_words import exposed
    from firkin.errors import UsageError

    known = exposed([wanted])
    found = [port for port in ports if f"{port.guest_port}/{port.protocol}" in known]
    if not found:
        raise UsageError(
            f"container {name!r} publishes no port {wanted}", hint=f"`firkin port {name}` shows all of them"
        )
    return found
