"""`firkin kube generate`: the manifest of what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command("generate")
@click.option("-f", "--filename", default="", metavar="FILE", help="Write it there, and not to the terminal.")
@click.argument("names", nargs=-1, required=True, metavar="POD|CONTAINER...")
def command(filename: str, names: tuple[str, ...]) -> int:
    """Print the manifest of pods, or of a pod with containers.

    `firkin kube play` makes the same pod of it. What no manifest can say is named on standard error. Secrets
    that a pod was played with are in it, in base64, which hides nothing.
    """
    from firkin.cli.report import say
    from firkin.cli.session import with_engine
    from firkin.engine.whole_file import whole_file

    async def write(engine: Engine) -> int:
        from firkin.kube.generate import generate

        made = generate(engine, names)
        if made.unsaid:
            say("a manifest cannot say: " + "; ".join(made.unsaid))
        if not filename:
            click.echo(made.text, nl=False)
            return 0
        with whole_file(filename) as file:
            file.write(made.text.encode())
        return 0

    return with_engine(write)
