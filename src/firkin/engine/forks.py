"""Forks: containers that go on from one snapshot, begun at once.

The rule: all of them run, or none is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec

from firkin.container.spec import ContainerSpec
from firkin.engine import socket_words as rules
from firkin.engine.container import Container
from firkin.engine.heir import Wishes, own_ports
from firkin.errors import FirkinError, UsageError
from firkin.machine.spec import PublishedPort

MOST = 1000


def each_of(n: int, wishes: Wishes, ports: tuple[PublishedPort, ...]) -> list[Wishes]:
    """The wishes for `n` forks of what publishes `ports`. Several get the name with a number behind it.

    Raises UsageError.
    """
    if not 1 <= n <= MOST:
        raise UsageError(f"cannot make {n} forks", hint=f"ask for 1 to {MOST}")
    own = msgspec.structs.replace(wishes, ports=own_ports(ports) if wishes.ports is None else wishes.ports)
    if n == 1 or not wishes.name:
        return [own] * n
    return [msgspec.structs.replace(own, name=f"{wishes.name}-{number}") for number in range(1, n + 1)]


def check_sockets(n: int, wishes: Wishes, spec: ContainerSpec) -> None:
    """Refuse `n` forks that would publish sockets where the container of `spec`, or another fork, does.

    Raises UsageError.
    """
    published = [each.called for each in spec.sockets if each.published]
    if published and wishes.published_sockets is None:
        raise UsageError(
            f"container {spec.name!r} publishes {published[0]}, and a fork needs a path of its own",
            hint="give it one: --publish-socket CONTAINER:HOST, or publish_sockets=[...] (or [] for none)",
        )
    if n > 1 and wishes.published_sockets:
        raise UsageError(
            "several forks cannot publish a socket at one path", hint="fork one at a time, each with its own"
        )
    rules.check_sockets(wishes.published_sockets or ())


async def begin_all(
    begin: Callable[[Wishes], Awaitable[Container]], wishes: Sequence[Wishes]
) -> list[Container]:
    """What `begin` gives for each of `wishes`, at once. Raises the first error, once none is left."""
    tasks = [asyncio.ensure_future(begin(each)) for each in wishes]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.shield(asyncio.gather(*tasks, return_exceptions=True))
        begun = [each for each in outcomes if not isinstance(each, BaseException)]
        await asyncio.shield(asyncio.gather(*map(_remove, begun)))
        raise


async def _remove(container: Container) -> None:
    with suppress(FirkinError):
        await container.remove(force=True)
