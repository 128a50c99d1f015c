"""The guest's side of a container's network: what the agent is told to set up, without asking anybody.

The rule: addresses are fixed, so a start needs no DHCP round trips; what a network does not offer has no
route.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from firkin.machine.spec import PublishedPort
from firkin.network import mac
from firkin.network.resolv_conf import MOST_SERVERS, of_the_host, resolv_conf
from firkin.network.spec import HOST_GATEWAY, USER, Interface, NetworkSpec
from firkin.network.user import ADDRESS, ADDRESS6, HOST6, NAMESERVER6, PREFIX6
from firkin.wire.messages import Guard, Network, Op, Route

GATEWAY = "10.0.2.2"
NAMESERVER = "10.0.2.3"
SUBNET = "10.0.2.0/24"
"""The VMM's user-mode network (QEMU's defaults). GATEWAY stands for the host's loopback, where it exists:
see network.user."""
PRIVATE_MTU = 65520
LOOPBACK = "127.0.0.0/8"
"""Of the card, not of `lo`: slirp would take a packet for it to the host's own."""


class GuestNetwork(msgspec.Struct, frozen=True):
    """What the guest gets: requests for the agent, /etc/resolv.conf, and its address, maybe ""."""

    cards: tuple[Network, ...]
    resolv_conf: bytes
    address: str
    guards: tuple[Guard, ...] = ()

    @property
    def ops(self) -> tuple[Op, ...]:
        """All that the agent is asked for; the guards before there is a way that they are to close."""
        return (*self.guards, *self.cards)


def guest_network(network: NetworkSpec, ports: Sequence[PublishedPort] = ()) -> GuestNetwork:
    """The guest's side of `network`, of a container that publishes `ports`."""
    gateway = bool(ports) or network.host_loopback
    six = _routes6(gateway=network.host_loopback) if network.ipv6 else ()
    cards = tuple(
        _user(card, six, gateway=gateway)
        if card.network == USER
        else _private(card, network.number(card), network.called(card))
        for card in network.interfaces
    )
    open_to_host = network.host_loopback or not (ports or six)
    guards = () if open_to_host else (_guard(ports, NAMESERVER6 if six else ""),)
    return GuestNetwork(cards, _resolver(network), _address(network), guards)


def _resolver(network: NetworkSpec) -> bytes:
    """/etc/resolv.conf. The name servers of private networks know what the others do, and ask those that
    were chosen.
    """
    if private := network.private:
        dns = msgspec.structs.replace(network.dns, servers=())
        own = tuple(card.gateway for card in private[:MOST_SERVERS])
        return resolv_conf(of_the_host(), own, dns, network.domain)
    if network.mode == "none":
        return resolv_conf("", (), network.dns, network.domain)
    own = (NAMESERVER, *((NAMESERVER6,) if network.ipv6 else ()))
    return resolv_conf(of_the_host(), own, network.dns, network.domain)


def _address(network: NetworkSpec) -> str:
    """That of its own name: where others find it, if any do."""
    if private := network.private:
        return private[0].address.partition("/")[0]
    return ADDRESS if network.interfaces else ""


def hosts(network: NetworkSpec, hostname: str, address: str) -> bytes:
    """hosts(5). A container can always look up itself; without a network its name is on the loopback, as in
    Debian.
    """
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    for entry in network.hosts:
        comment = f"\t# {entry.comment}" if entry.comment else ""
        to = GATEWAY if entry.address == HOST_GATEWAY else entry.address
        lines.append(f"{to}\t{' '.join(entry.names)}{comment}")
    own = f"{hostname}.{network.domain} {hostname}" if network.domain else hostname
    lines.append(f"{address or '127.0.1.1'}\t{own}")
    return "".join(f"{line}\n" for line in lines).encode()


def _private(card: Interface, number: int, called: str) -> Network:
    """A card of a private network, whose subnet is on its link, and nothing else. Its frames never leave this
    host, so they are as large as they can be.
    """
    return Network(
        interface=called,
        card=number,
        mtu=PRIVATE_MTU,
        hwaddr=mac.packed(card.mac),
        addresses=(card.address, *((card.address6,) if card.address6 else ())),
    )


def _guard(ports: Sequence[PublishedPort], resolver6: str) -> Guard:
    """Callers of published ports have the gateway's address, so answers go there, and nothing else does."""
    datagrams = {port.guest_port for port in ports if port.protocol == "udp"}
    return Guard(address=GATEWAY, udp=tuple(sorted(datagrams)), resolver6=resolver6)


def _routes6(*, gateway: bool) -> tuple[Route, ...]:
    """The IPv6 ways of the user network: outside by its name server's card, and nowhere in its subnet but to
    that. The routes tell programs at once; it is the guard that closes what a socket bound to the card, which
    passes them, would reach.
    """
    return (
        Route(dst=f"{NAMESERVER6}/128"),
        *((Route(dst=f"{HOST6}/128"),) if gateway else ()),
        Route(dst="default", via=NAMESERVER6, onlink=True),
        Route(dst=PREFIX6, kind="prohibit"),
    )


def _user(card: Interface, six: tuple[Route, ...], *, gateway: bool) -> Network:
    """The card of the user network, which reaches the outside, but no other address of the VMM's subnet than
    the name server: whatever listens on the host's loopback trusts who can reach it (docs/design/network.md).

    With published ports the `gateway` itself has a route too, since it is whom their callers seem to be (and
    a guard), and where that was asked for; else there is none, and the name server is the next hop.
    """
    routes = (
        Route(dst=f"{NAMESERVER}/32"),
        *((Route(dst=f"{GATEWAY}/32"),) if gateway else ()),
        Route(dst="default", via=GATEWAY if gateway else NAMESERVER, onlink=True),
        Route(dst=SUBNET, kind="prohibit"),
        Route(dst=LOOPBACK, kind="prohibit"),
    )
    return Network(
        interface="eth0",
        hwaddr=mac.packed(card.mac) if card.mac else None,
        addresses=(f"{ADDRESS}/32", *((f"{ADDRESS6}/128",) if six else ())),
        routes=(*routes, *six),
    )
