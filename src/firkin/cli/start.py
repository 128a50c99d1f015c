"""`firkin start`: a container that was created, or an ended one once more."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from firkin.cli.booleans import Booleans
from firkin.cli.options import detach_keys_option

if TYPE_CHECKING:
    from firkin.cli.session import Session
    from firkin.engine.container import Container
    from firkin.engine.engine import Engine

_LAST_WORDS_S = 5.0
"""How long the machine of an ended container may take to be gone, before we are."""


@click.command(cls=Booleans)
@click.option("-a", "--attach", is_flag=True, help="Show what it prints, and end with its exit status.")
@click.option("-i", "--interactive", is_flag=True, help="Connect standard input, where it was run with -i.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, show_default=True, help="Pass signals on to it.")
@detach_keys_option
@click.argument("names", nargs=-1, required=True, metavar="CONTAINER...")
def command(
    attach: bool, interactive: bool, sig_proxy: bool, detach_keys: str, names: tuple[str, ...]
) -> int:
    """Start containers that were created or have ended.

    The command of one that has ended runs again in a new machine, on the disk that it left; its log goes on.
    A container that runs already is no error.
    """
    from firkin.cli.detach import parse_keys
    from firkin.cli.session import each, with_engine, with_session
    from firkin.errors import UsageError

    if attach or interactive:
        keys = parse_keys(detach_keys)
        if len(names) > 1:
            raise UsageError("only one container can be attached to", hint="leave -a and -i away")
        return with_session(
            lambda session: _attached(session, names[0], stdin=interactive, keys=keys, sig_proxy=sig_proxy)
        )

    async def start(engine: Engine) -> int:
        async def one(name: str) -> str:
            await engine.start(name)
            return name

        return await each(names, one)

    return with_engine(start)


async def _attached(session: Session, name: str, *, stdin: bool, keys: bytes, sig_proxy: bool) -> int:
    from firkin.cli.foreground import Ladder, foreground
    from firkin.cli.wiring import Wiring
    from firkin.container.record import Running
    from firkin.errors import ContainerNotFound, WrongState

    before = await session.engine.container(name)
    spec = before.spec.process
    wiring = Wiring(spec.stdin and stdin, spec.terminal is not None, keys, sig_proxy)
    wiring.check()
    was_running = isinstance(before.state, Running)
    container = await session.engine.start(name)
    try:
        process = await container.attach(stdin=wiring.stdin, replay=not was_running)
    except WrongState:  # it was quick: its end is on record, and what it wrote
        return await _as_logged(container)
    status = await foreground(session, process, wiring, Ladder(f"container {name}", None, None))
    if status is None:
        return 0
    with suppress(TimeoutError, ContainerNotFound):  # one that was given up on runs on
        async with asyncio.timeout(_LAST_WORDS_S):
            await container.wait()
    return status


async def _as_logged(container: Container) -> int:
    """The exit status of a container that has ended, once what it wrote since its start is written out."""
    status = await container.wait()
    since_ns = getattr(container.state, "started_ns", None)
    async for record in container.logs(since_ns=since_ns):
        stream = sys.stdout.buffer if record.stream == "stdout" else sys.stderr.buffer
        stream.write(record.data)
        stream.flush()
    return status.status
