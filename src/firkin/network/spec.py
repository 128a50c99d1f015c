"""NetworkSpec: what a container's network is to be. Values only; engine.network_words makes them from words.

The rule: an address, a name and an option stand here as the guest will read them, so nothing in them can be
taken for more than one of it.
"""

from __future__ import annotations

import msgspec

from firkin.machine.spec import NetworkMode

USER = "user"
"""The network that leads outside, which every machine has for itself (network.user)."""


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """A card of the container: eth0, eth1, ... in declared order."""

    network: str = USER
    mac: str = ""
    """"": the machine's own choice."""
    id: str = ""
    """Its private network's, where it is on one. What follows is "" elsewhere (container.leases)."""
    address: str = ""
    """With its prefix: 10.89.0.2/24. Without one it is what was asked for."""
    address6: str = ""
    gateway: str = ""
    """Who answers for names there."""
    aliases: tuple[str, ...] = ()
    """Names by which others on that network find it, beside its own."""
    place: int | None = None
    """Which of its machine's private cards it is, from 0 on; None: that is yet to be chosen."""


class Dns(msgspec.Struct, frozen=True, kw_only=True):
    """What of resolv.conf(5) was asked for. None is left to the host's; an empty tuple is none of it."""

    servers: tuple[str, ...] = ()
    """None given: the network's own."""
    search: tuple[str, ...] | None = None
    options: tuple[str, ...] | None = None


class HostEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of /etc/hosts. `address` may be HOST_GATEWAY."""

    names: tuple[str, ...]
    address: str
    comment: str = ""


HOST_GATEWAY = "host-gateway"
"""Docker's word for the address by which a container reaches its host."""


class NetworkSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The network of one container."""

    interfaces: tuple[Interface, ...] = (Interface(),)
    host_loopback: bool = False
    """Whether it may reach what listens on the host's loopback."""
    ipv6: bool = False
    """Whether the user network has IPv6, too."""
    dns: Dns = Dns()
    hosts: tuple[HostEntry, ...] = ()
    domain: str = ""
    sysctls: dict[str, str] = {}
    exposed: tuple[str, ...] = ()
    """`80/tcp`: what it listens on, by its own word and by its image's."""
    publish_all: bool = False
    """Whether what is exposed is published, on ports that are chosen."""

    @property
    def mode(self) -> NetworkMode:
        """What its machine needs."""
        return "user" if any(each.network == USER for each in self.interfaces) else "none"

    @property
    def private(self) -> tuple[Interface, ...]:
        """Its cards on private networks, in their order."""
        return tuple(each for each in self.interfaces if each.network != USER)

    def number(self, card: Interface) -> int:
        """The number of `card` among the cards of its machine: the one that leads outside is the first."""
        return 0 if card.network == USER else self.first_private + (card.place or 0)

    @property
    def first_private(self) -> int:
        """The number of its machine's first private card."""
        return 1 if self.mode == "user" else 0

    def called(self, card: Interface) -> str:
        """What `card` is called in the guest."""
        return f"eth{self.number(card)}"

    @property
    def most_used(self) -> int:
        """How many private cards its machine has at least."""
        return max((1 + (card.place or 0) for card in self.private), default=0)

    @property
    def first_free(self) -> int:
        """Which private card of its machine is the first that it does not use."""
        places = {card.place or 0 for card in self.private}
        return next(place for place in range(len(places) + 1) if place not in places)

    @property
    def names(self) -> tuple[str, ...]:
        """The networks that it is on, as `--network` names them; `none` for none."""
        return tuple(each.network for each in self.interfaces) or ("none",)
