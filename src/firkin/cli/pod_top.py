"""`firkin pod top`: the processes of a pod's containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import format_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.wire.messages import ProcessRow


@click.command("top", context_settings={"ignore_unknown_options": True})
@format_option("a table")
@click.argument("name", metavar="POD")
@click.argument("operands", nargs=-1, type=click.UNPROCESSED, metavar="[PS OPTIONS]")
def command(form: str, name: str, operands: tuple[str, ...]) -> None:
    """List the processes of a pod's containers.

    Each behind the name of its container. Process ids are those that the container sees, users are numbers.
    What is shown is chosen as with `firkin top`, or by the names of columns alone.

    \b
    firkin pod top web
    firkin pod top web pid comm etime
    """
    from firkin.cli.session import with_engine
    from firkin.cli.top import columns_of, text_of

    columns = columns_of(operands, form)

    async def top(engine: Engine) -> tuple[dict[str, list[ProcessRow]], int]:
        return await engine.pods.top(name), engine.pods.find(name).spec.memory_bytes

    found, memory_bytes = with_engine(top)
    rows = [(container, row) for container, processes in found.items() for row in processes]
    click.echo(text_of(rows, columns, form, memory_bytes, of_a_pod=True), nl=False)
