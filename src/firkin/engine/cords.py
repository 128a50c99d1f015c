"""Cords: which cards of a running container are plugged into the switches of private networks.

The rule: what is plugged in is what the container's spec names. Whoever changes that says so here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from firkin.container.spec import ContainerSpec
from firkin.network.spec import Interface
from firkin.paths import Paths

if TYPE_CHECKING:
    from firkin.engine.switches import Cord


class Cords:
    """Those of one machine, whose VMM is process `vmm`, by the names of their networks."""

    def __init__(self, paths: Paths, vmm: int) -> None:
        self._paths = paths
        self._vmm = vmm
        self._cords: dict[str, Cord] = {}

    async def plug(self, spec: ContainerSpec, card: Interface) -> None:
        """Plug `card` of `spec` in. Raises HostUnsupported, Timeout, InUse, NetworkNotFound."""
        from firkin.engine.switches import Cord, plug_of  # only who is on a network pays for it

        cord = Cord(self._paths, card, plug_of(self._paths, spec, self._vmm, card))
        await cord.begin()
        self._cords[card.network] = cord

    async def pull(self, network: str) -> None:
        """Take the card on that network out, if there is one. Raises as Cord.pull(); then it is in."""
        if (cord := self._cords.get(network)) is not None:
            await cord.pull()
            del self._cords[network]

    async def tell(self, spec: ContainerSpec) -> None:
        """Let the switches know the container as it is now: its names, and how many networks it is on."""
        from firkin.engine.switches import plug_of

        cards = {card.network: card for card in spec.network.private}
        await asyncio.gather(
            *(
                cord.tell(plug_of(self._paths, spec, self._vmm, cards[name]))
                for name, cord in self._cords.items()
                if name in cards
            )
        )

    async def end(self) -> None:
        """Look after none of them any more. May be called twice."""
        await asyncio.gather(*(cord.end() for cord in self._cords.values()))
