"""AsyncNetworks: private networks, on which containers find each other, from asyncio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from firkin.aio.thread import in_thread
from firkin.container import private_network
from firkin.engine import networks
from firkin.engine.lists import listed
from firkin.engine.networks import NetworkSummary
from firkin.settings import Settings


class AsyncNetworks:
    """The private networks of one user, by name. From AsyncEngine.networks."""

    def __init__(self, settings: Settings) -> None:
        self._paths = settings.paths

    async def create(
        self,
        name: str,
        *,
        subnets: Iterable[str] = (),
        gateway: str = "",
        ipv6: bool = False,
        internal: bool = False,
        labels: Mapping[str, str] | None = None,
    ) -> NetworkSummary:
        """A new network, of `subnets` or of addresses that are free. Raises UsageError, NameInUse."""
        make = partial(
            networks.create,
            self._paths,
            name,
            subnets=listed("subnets", subnets),
            gateway=gateway,
            ipv6=ipv6,
            internal=internal,
            labels=labels,
        )
        await in_thread(make)
        return networks.summary(self._paths, name)

    async def list(self) -> tuple[NetworkSummary, ...]:
        """All networks, by name. Raises Corrupt where one cannot be read."""
        return tuple(networks.summaries(self._paths))

    async def inspect(self, name: str) -> dict[str, Any]:
        """All that is known of one, with Docker's names. Raises NetworkNotFound, Corrupt."""
        return networks.facts(self._paths, name)

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a network; with `force` also one that cannot be read.

        Raises NetworkNotFound, Corrupt, and InUse, which names the containers that list it.
        """
        await in_thread(partial(private_network.remove, self._paths, name, force=force))

    async def prune(self) -> tuple[str, ...]:
        """Remove those that no container uses: the names of what went."""
        return tuple(await in_thread(partial(networks.prune, self._paths)))
