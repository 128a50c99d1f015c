"""`firkin pod restart`: stop and start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import stop_timeout_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("restart")
@stop_timeout_option
@click.argument("names", nargs=-1, required=True, metavar="POD...")
def command(timeout: str | None, names: tuple[str, ...]) -> int:
    """Stop pods, and start them again.

    All their containers are started, also those that had ended before.
    """
    from firkin.cli.session import each, with_engine
    from firkin.units import parse_duration

    timeout_s = None if timeout is None else parse_duration(timeout)

    async def all_of_them(engine: Engine) -> int:
        async def one(name: str) -> str:
            await engine.pods.restart(name, timeout_s)
            return name

        return await each(names, one)

    return with_engine(all_of_them)
