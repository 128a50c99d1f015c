"""`firkin forward`: sockets between the host and a running container, for as long as this runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AsyncExitStack
    from typing import Any

    from firkin.engine.container import Container
    from firkin.engine.engine import Engine
    from firkin.engine.forward_words import Forward
    from firkin.errors import FirkinError
    from firkin.wire.sockets import Place


@click.command()
@click.option("--reverse", is_flag=True, help="Listen in the container, and connect to the host.")
@click.argument("name", metavar="CONTAINER")
@click.argument("words", nargs=-1, required=True, metavar="[[ADDRESS:]HOSTPORT:]PORT|HOSTSOCK:/PATH...")
def command(*, reverse: bool, name: str, words: tuple[str, ...]) -> int:
    """Reach ports and sockets of a running container from the host.

    It needs no network of the container's, and listens on the host's loopback, or at a unix socket that only
    you may use, until ctrl-c. With --reverse a socket of the host appears in the container.

    \b
    firkin forward web 8080:80
    firkin forward db ./db.sock:/run/postgresql/.s.PGSQL.5432
    firkin forward --reverse box ~/.ssh/agent.sock:/run/agent.sock
    """
    from firkin.cli.session import with_engine
    from firkin.engine.forward_words import Forward

    forwards = [Forward.parse(word) for word in words]

    async def forward(engine: Engine) -> int:
        import asyncio
        from contextlib import AsyncExitStack

        container = await engine.container(name)
        async with AsyncExitStack() as stack:
            begin = _reverse if reverse else _forward
            works = [await begin(stack, container, each) for each in forwards]
            tasks = [asyncio.create_task(work()) for work in works]
            tasks.append(asyncio.create_task(_until_ended(container)))
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return 0

    return with_engine(forward)


async def _forward(
    stack: AsyncExitStack, container: Container, forward: Forward
) -> Callable[[], Coroutine[Any, Any, None]]:
    """Listen on the host. What relays from then on is returned."""
    from functools import partial

    from firkin.engine.forward import to_container
    from firkin.engine.host_socket import listening, place_of
    from firkin.engine.shared_sockets import DIAL_TIMEOUT_S

    sock = stack.enter_context(listening(forward.host))
    host = place_of(sock, forward.host)
    print(f"{_shown(host)} -> {forward.guest.called} of {container.name}", flush=True)
    return partial(to_container, sock, partial(container.dial, forward.guest, DIAL_TIMEOUT_S), _say)


async def _reverse(
    stack: AsyncExitStack, container: Container, forward: Forward
) -> Callable[[], Coroutine[Any, Any, None]]:
    """Listen in the container."""
    from functools import partial

    from firkin.engine.forward import to_host

    listener = await container.listen(forward.guest)
    stack.push_async_callback(listener.close)
    print(f"{listener.place.called} of {container.name} -> {_shown(forward.host)}", flush=True)
    return partial(to_host, listener, forward.host, _say)


async def _until_ended(container: Container) -> None:
    """Raise WrongState once there is nothing to forward to any more."""
    from firkin.errors import WrongState

    status = await container.wait()
    raise WrongState(f"container {container.name!r} has ended: {status}", hint="`firkin start` it again")


def _shown(host: Place) -> str:
    return str(host) if host.path or host.address else f"127.0.0.1:{host.port}"


def _say(error: FirkinError) -> None:
    from firkin.cli.report import say

    say(f"forward: {error}")
