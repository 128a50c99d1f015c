"""Usage: what a running container has used by its guest's word, and its VMM takes by the host kernel's.

Of one in namespaces all of it is the host kernel's word (engine.namespace_usage).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec

from firkin.errors import WrongState
from firkin.machine.namespace.namespace import Namespace
from firkin.wire.messages import convert
from firkin.wire.usage import Stats, Usage

if TYPE_CHECKING:
    from firkin.engine.container import Container
    from firkin.engine.launch import Launched


async def usage_of(launched: Launched, container_id: str) -> Usage:
    """What the container has used until now. Raises AgentError where there are no cgroups, MachineDied,
    HostUnsupported for one in namespaces.
    """
    if isinstance(launched.machine, Namespace):
        from firkin.engine.namespace_usage import usage_in_namespaces

        return usage_in_namespaces(launched.machine)
    told = convert(await launched.client.request(Stats(container=container_id)), Usage)
    return msgspec.structs.replace(told, vmm_rss_bytes=rss_bytes(launched.machine.pid))


async def followed(container: Container, every_s: float) -> AsyncIterator[Usage]:
    """What `container` has used, again each `every_s` seconds until it ends."""
    while True:
        try:
            usage = await container.stats()
        except WrongState:
            return
        yield usage
        await asyncio.sleep(every_s)


def rss_bytes(pid: int) -> int:
    """What process `pid` has of the host's memory; 0 where it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read(256).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
