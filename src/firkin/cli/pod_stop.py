"""`firkin pod stop`: its containers, then its machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import stop_timeout_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("stop")
@stop_timeout_option
@click.argument("names", nargs=-1, required=True, metavar="POD...")
def command(timeout: str | None, names: tuple[str, ...]) -> int:
    """Stop pods with their containers.

    Each container is stopped as by `firkin stop`, all at once; then the machine ends.
    """
    from firkin.cli.session import each, with_engine
    from firkin.units import parse_duration

    timeout_s = None if timeout is None else parse_duration(timeout)

    async def all_of_them(engine: Engine) -> int:
        async def one(name: str) -> str:
            await engine.pods.stop(name, timeout_s)
            return name

        return await each(names, one)

    return with_engine(all_of_them)
