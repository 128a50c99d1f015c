"""`firkin restart`: stop and start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import names_argument, stop_timeout_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@stop_timeout_option
@names_argument
def command(timeout: str | None, names: tuple[str, ...]) -> int:
    """Stop containers, and start them.

    A running one is stopped as by `firkin stop`, also one with --rm, which stays for this; one that was
    created or has ended is started.
    """
    from firkin.cli.session import each, with_engine
    from firkin.units import parse_duration

    timeout_s = None if timeout is None else parse_duration(timeout)

    async def restart(engine: Engine) -> int:
        async def one(name: str) -> str:
            await engine.restart(name, timeout_s)
            return name

        return await each(names, one)

    return with_engine(restart)
