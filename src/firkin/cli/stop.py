"""`firkin stop`: ask, wait, and end what did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import names_argument, stop_timeout_option

if TYPE_CHECKING:
    from firkin.engine.container import Container


@click.command()
@stop_timeout_option
@names_argument
def command(timeout: str | None, names: tuple[str, ...]) -> int:
    """Ask containers to end, and end them when they do not.

    The first process gets the container's stop signal (SIGTERM, or what the image says), and after the
    timeout SIGKILL. A container that has ended already is no error, nor is one that is suspended, which
    stays so.
    """
    from firkin.cli.session import for_each_container
    from firkin.units import parse_duration

    timeout_s = None if timeout is None else parse_duration(timeout)

    async def stop(container: Container) -> None:
        await container.stop(timeout_s)

    return for_each_container(names, stop)
