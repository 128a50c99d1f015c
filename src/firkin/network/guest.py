"""The guest's side of a container's network: what the agent is told to set up, without asking anybody.

The rule: addresses are fixed, so a start needs no DHCP round trips; what a network does not offer has no
route.
"""

from __future__ import annotations

import msgspec

from firkin.network import mac
from firkin.network.resolv_conf import of_the_host, resolv_conf
from firkin.network.spec import HOST_GATEWAY, Interface, NetworkSpec
from firkin.network.user import ADDRESS
from firkin.wire.messages import Network, Route

GATEWAY = "10.0.2.2"
NAMESERVER = "10.0.2.3"
SUBNET = "10.0.2.0/24"
"""The VMM's user-mode network (QEMU's defaults). GATEWAY stands for the host's loopback, where it exists:
see network.user."""
LOOPBACK = "127.0.0.0/8"
"""Of the card, not of `lo`: slirp would take a packet for it to the host's own."""


class GuestNetwork(msgspec.Struct, frozen=True):
    """What the guest gets: requests for the agent, /etc/resolv.conf, and its address, maybe ""."""

    ops: tuple[Network, ...]
    resolv_conf: bytes
    address: str


def guest_network(network: NetworkSpec, *, published: bool = False) -> GuestNetwork:
    """The guest's side of `network`, of a container that has `published` ports or none."""
    gateway = published or network.host_loopback
    ops = tuple(_user(index, card, gateway=gateway) for index, card in enumerate(network.interfaces))
    own = (NAMESERVER,) if ops else ()
    host = of_the_host() if ops else ""
    return GuestNetwork(ops, resolv_conf(host, own, network.dns, network.domain), ADDRESS if ops else "")


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


def _user(index: int, card: Interface, *, gateway: bool) -> Network:
    """The card of the user network, which reaches the outside, but no other address of the VMM's subnet than
    the name server: whatever listens on the host's loopback trusts who can reach it (docs/design/network.md).

    With published ports the `gateway` itself can be reached too, since it is whom their callers seem to be,
    and where that was asked for; else there is none, and the name server is the next hop.
    """
    routes = (
        Route(dst=f"{NAMESERVER}/32"),
        *((Route(dst=f"{GATEWAY}/32"),) if gateway else ()),
        Route(dst="default", via=GATEWAY if gateway else NAMESERVER, onlink=True),
        Route(dst=SUBNET, kind="prohibit"),
        Route(dst=LOOPBACK, kind="prohibit"),
    )
    return Network(
        interface=f"eth{index}",
        hwaddr=mac.packed(card.mac) if card.mac else None,
        addresses=(f"{ADDRESS}/32",),
        routes=routes,
    )
