"""The guest's side of a network mode: what the agent is told to set up, without asking anybody.

The rule: addresses are fixed, so a start needs no DHCP round trips; what the mode does not offer has no
route.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from firkin.machine.spec import NetworkMode
from firkin.network.user import ADDRESS
from firkin.wire.messages import Network, Route

GATEWAY = "10.0.2.2"
NAMESERVER = "10.0.2.3"
SUBNET = "10.0.2.0/24"
"""The VMM's user-mode network (QEMU's defaults). GATEWAY stands for the host's loopback, where it exists:
see network.user."""
LOOPBACK = "127.0.0.0/8"
"""Of the card, not of `lo`: slirp would take a packet for it to the host's own."""

_RESOLV_CONF = Path("/etc/resolv.conf")
_MAX_RESOLV_CONF_BYTES = 64 << 10
_MAX_SEARCH_DOMAINS = 6


class GuestNetwork(msgspec.Struct, frozen=True):
    """What the guest gets: requests for the agent, /etc/resolv.conf, and its address, maybe ""."""

    ops: tuple[Network, ...]
    resolv_conf: bytes
    address: str


def guest_ops(mode: NetworkMode, *, published: bool = False) -> GuestNetwork:
    """The guest's side of `mode`.

    `user` reaches the outside, but no other address of the VMM's subnet than the name server: whatever
    listens on the host's loopback trusts who can reach it (docs/design/network.md). With `published` ports
    the gateway itself can be reached too, since it is whom their callers seem to be; else there is none, and
    the name server is the next hop.
    """
    if mode == "none":
        return GuestNetwork((), b"", "")
    routes = (
        Route(dst=f"{NAMESERVER}/32"),
        *((Route(dst=f"{GATEWAY}/32"),) if published else ()),
        Route(dst="default", via=GATEWAY if published else NAMESERVER, onlink=True),
        Route(dst=SUBNET, kind="prohibit"),
        Route(dst=LOOPBACK, kind="prohibit"),
    )
    eth0 = Network(interface="eth0", addresses=(f"{ADDRESS}/32",), routes=routes)
    return GuestNetwork((eth0,), resolv_conf(_host_resolv_conf()), ADDRESS)


def resolv_conf(host: str) -> bytes:
    """resolv.conf(5) for the guest: the VMM's name server, the host's search domains and options."""
    kept = {}
    for line in host.splitlines():
        keyword, *values = line.split()[: _MAX_SEARCH_DOMAINS + 1] or [""]
        if values and keyword in ("search", "domain", "options"):
            kept["search" if keyword == "domain" else keyword] = " ".join(values)
    lines = [f"nameserver {NAMESERVER}", *(f"{keyword} {values}" for keyword, values in kept.items())]
    return "".join(f"{line}\n" for line in lines if line != "search .").encode()


def _host_resolv_conf() -> str:
    try:
        with _RESOLV_CONF.open("rb") as file:
            return file.read(_MAX_RESOLV_CONF_BYTES).decode("ascii", "replace")
    except OSError:
        return ""  # a host without a resolver; the guest's queries then fail as the host's do
