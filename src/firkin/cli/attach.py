"""`firkin attach`: this terminal onto a running container."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.booleans import Booleans
from firkin.cli.options import detach_keys_option

if TYPE_CHECKING:
    from firkin.cli.session import Session


@click.command(cls=Booleans)
@click.option("--no-stdin", is_flag=True, help="Do not connect standard input.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, show_default=True, help="Pass signals on to it.")
@detach_keys_option
@click.argument("name", metavar="CONTAINER")
def command(no_stdin: bool, sig_proxy: bool, detach_keys: str, name: str) -> int:
    """Connect this terminal to a running container.

    What its first process prints from now on is shown here, and what is typed here goes to it, where it was
    started with -i. The exit status is the process's.
    """
    from firkin.cli.detach import parse_keys
    from firkin.cli.foreground import Ladder, foreground
    from firkin.cli.session import with_session
    from firkin.cli.wiring import Wiring

    keys = parse_keys(detach_keys)

    async def attach(session: Session) -> int:
        container = await session.engine.container(name)
        spec = container.spec.process
        wiring = Wiring(spec.stdin and not no_stdin, spec.terminal is not None, keys, sig_proxy)
        process = await container.attach(stdin=wiring.stdin)
        return await foreground(session, process, wiring, Ladder(f"container {name}", None, None)) or 0

    return with_session(attach)
