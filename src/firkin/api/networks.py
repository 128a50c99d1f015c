"""Networks: AsyncNetworks with blocking calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from firkin.api.async_networks import AsyncNetworks
from firkin.api.loop import Loop
from firkin.engine.networks import NetworkSummary


class Networks:
    """The private networks of one user, by name. From Engine.networks."""

    def __init__(self, networks: AsyncNetworks, loop: Loop) -> None:
        self._networks, self._loop = networks, loop

    def create(
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
        making = self._networks.create(
            name, subnets=subnets, gateway=gateway, ipv6=ipv6, internal=internal, labels=labels
        )
        return self._loop.call(making)

    def list(self) -> tuple[NetworkSummary, ...]:
        """All networks, by name."""
        return self._loop.call(self._networks.list())

    def inspect(self, name: str) -> dict[str, Any]:
        """All that is known of one, with Docker's names. Raises NetworkNotFound."""
        return self._loop.call(self._networks.inspect(name))

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a network. Raises NetworkNotFound, InUse."""
        self._loop.call(self._networks.remove(name, force=force))

    def prune(self) -> tuple[str, ...]:
        """Remove those that no container uses; says what went."""
        return self._loop.call(self._networks.prune())
