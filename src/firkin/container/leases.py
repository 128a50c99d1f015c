"""Leases: which addresses a container has on its private networks.

The rule: a lease is what stands in the container's spec. It is chosen among those of all other containers
while the table of networks is held, which is let go when that spec is on record.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from firkin.container.private_network import PrivateNetwork, find, table, users
from firkin.errors import AddressInUse, UsageError, WrongState
from firkin.network import mac
from firkin.network.spec import USER, Interface, NetworkSpec
from firkin.paths import Paths

MOST_CARDS = 8
"""Of one machine: it has places for 24 devices in all, 17 of them for disks."""
_MACS = 16
"""Of one container (network.mac)."""


@contextmanager
def leased(paths: Paths, network: NetworkSpec, container_id: str) -> Iterator[NetworkSpec]:
    """`network` with everything that its private networks give to its cards, and with a card that leads
    outside where one of them does; nobody else gets the same in the block, in which the container is put on
    record.

    Raises NetworkNotFound, AddressInUse, UsageError.
    """
    if not network.private:
        yield network
        return
    with table(paths):
        yield _leased(paths, network, container_id)


@contextmanager
def joined(paths: Paths, network: NetworkSpec, card: Interface, container_id: str) -> Iterator[NetworkSpec]:
    """`network` of that container, which has its leases, with `card` behind its others, as leased() has it.

    Raises as leased(), and WrongState where it is on that network or has as many cards as there can be.
    """
    if any(each.network == card.network for each in network.interfaces):
        raise WrongState(
            f"the container is on network {card.network!r} already",
            hint=f"to change what it is there: firkin network disconnect {card.network} first",
        )
    with table(paths):
        changed = msgspec.structs.replace(network, interfaces=(*network.interfaces, card))
        changed = _leased(paths, changed, container_id)
        if len(changed.interfaces) > MOST_CARDS:
            raise WrongState(
                f"the container has {MOST_CARDS} cards with that of its way outside, and no machine has more",
                hint="disconnect it from another network first",
            )
        yield changed


def _leased(paths: Paths, network: NetworkSpec, container_id: str) -> NetworkSpec:
    """`network`, whose cards have what they lack. The caller holds the table."""
    found = {each.network: find(paths, each.network) for each in network.private}
    cards = _with_way_out(network.interfaces, found)
    listed = users(paths)
    settled: list[Interface] = []
    for index, card in enumerate(cards):
        if card.network != USER and not card.id:
            others = [other for spec, other in listed.get(card.network, ()) if spec.id != container_id]
            own_mac = _own_mac(container_id, index, {each.mac for each in cards})
            card = _lease(found[card.network], card, others, own_mac)
        if card.network != USER and card.place is None:
            places = {each.place for each in (*cards, *settled)}
            free = next(place for place in range(len(cards)) if place not in places)
            card = msgspec.structs.replace(card, place=free)
        settled.append(card)
    return msgspec.structs.replace(network, interfaces=tuple(settled))


def _own_mac(container_id: str, index: int, taken: set[str]) -> str:
    """That of card `index`, or of the next one where an earlier card that stayed has it."""
    macs = (mac.of_container(container_id, (index + more) % _MACS) for more in range(_MACS))
    return next(each for each in macs if each not in taken)


def _with_way_out(cards: tuple[Interface, ...], networks: dict[str, PrivateNetwork]) -> tuple[Interface, ...]:
    """The user network's card comes first: its place among a machine's devices is always the same."""
    outside = [card for card in cards if card.network == USER]
    if not outside and not all(network.internal for network in networks.values()):
        outside = [Interface()]
    return (*outside, *(card for card in cards if card.network != USER))


def _lease(network: PrivateNetwork, card: Interface, others: list[Interface], own_mac: str) -> Interface:
    if (card.mac and any(card.mac == other.mac for other in others)) or card.mac == network.mac:
        raise AddressInUse(
            f"network {network.name!r}: the card {card.mac} is another's", hint="choose another, or none"
        )
    taken = {other.address.partition("/")[0] for other in others} | {network.gateway}
    taken6 = {other.address6.partition("/")[0] for other in others}
    six = _address(network, network.subnet6, card.address6, taken6) if network.subnet6 else ""
    if card.address6 and not six:
        raise UsageError(
            f"ip6: network {network.name!r} has no IPv6", hint="make it with: firkin network create --ipv6"
        )
    return msgspec.structs.replace(
        card,
        id=network.id,
        mac=card.mac or own_mac,
        address=_address(network, network.subnet, card.address, taken),
        address6=six,
        gateway=network.gateway,
    )


def _address(network: PrivateNetwork, subnet: str, wished: str, taken: set[str]) -> str:
    """An address of `subnet` with its prefix: `wished`, or the lowest that is free."""
    within = ipaddress.ip_network(subnet)
    if wished:
        _check_wish(network, within, ipaddress.ip_address(wished), taken)
        return f"{wished}/{within.prefixlen}"
    for number in range(1, min(within.num_addresses - 1, len(taken) + 3)):
        free = str(within[number])
        if free not in taken:
            return f"{free}/{within.prefixlen}"
    raise AddressInUse(
        f"network {network.name!r} has no address left in {subnet}", hint="remove containers: firkin rm"
    )


def _check_wish(
    network: PrivateNetwork,
    within: ipaddress.IPv4Network | ipaddress.IPv6Network,
    wished: ipaddress.IPv4Address | ipaddress.IPv6Address,
    taken: set[str],
) -> None:
    word = "ip" if within.version == 4 else "ip6"
    if wished not in within or wished in (within[0], within[-1]):
        raise UsageError(
            f"{word}: {wished} is not for a machine of network {network.name!r}, which is {within}",
            hint="choose one inside, or none",
        )
    if str(wished) in taken:
        raise AddressInUse(f"network {network.name!r}: {wished} is another's", hint="choose another, or none")
