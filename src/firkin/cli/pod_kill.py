"""`firkin pod kill`: a signal to all containers of a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("kill")
@click.option("-s", "--signal", "word", default="KILL", metavar="SIGNAL", show_default=True,
              help="The signal, by name or number.")  # fmt: skip
@click.argument("names", nargs=-1, required=True, metavar="POD...")
def command(word: str, names: tuple[str, ...]) -> int:
    """Send a signal to the running containers of pods.

    It goes to the first process of each; the pod's machine goes on.
    """
    from firkin.cli.session import each, with_engine
    from firkin.engine.signals import parse_signal

    number = parse_signal(word)

    async def all_of_them(engine: Engine) -> int:
        async def one(name: str) -> str:
            await engine.pods.kill(name, number)
            return name

        return await each(names, one)

    return with_engine(all_of_them)
