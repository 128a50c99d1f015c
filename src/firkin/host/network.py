"""RootlessNetwork: what gives a container its network without root, and what its user may do there."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from firkin.faults import kernel
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker

_NETAVARK = ("/usr/lib/podman/netavark", "/usr/libexec/podman/netavark", "/usr/local/libexec/podman/netavark")
_SYSCTLS = "/proc/sys/net/ipv4"


class Facts(msgspec.Struct, frozen=True):
    """`helpers` are those that are installed."""

    helpers: tuple[str, ...] = ("pasta",)
    netavark: bool = False
    iptables: bool = True
    ping_first: int = 0
    ping_last: int = 2147483647
    first_port: int = 0


def gather(asker: Asker) -> Facts:
    pings = (reading.text(f"{_SYSCTLS}/ping_group_range") or "").split()
    first, last = map(int, pings) if len(pings) == 2 else (0, 2147483647)
    return Facts(
        helpers=tuple(name for name in ("pasta", "slirp4netns") if asker.program(name)),
        netavark=any(map(asker.program, _NETAVARK)),
        iptables=bool(asker.program("iptables") or asker.program("nft")),
        ping_first=first,
        ping_last=last,
        first_port=reading.number(f"{_SYSCTLS}/ip_unprivileged_port_start") or 0,
    )


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if not facts.helpers:
        yield kernel.NETWORK_HELPER_MISSING.found()
    elif "pasta" not in facts.helpers:
        yield kernel.PASTA_MISSING.found()
    if facts.netavark and not facts.iptables:
        yield kernel.NETAVARK_IPTABLES.found()
    if not any(facts.ping_first <= group <= facts.ping_last for group in (asker.gid, *asker.groups)):
        bounds = f"{facts.ping_first} {facts.ping_last}"
        what = f"net.ipv4.ping_group_range is {bounds}, without a group of {asker.user}"
        yield kernel.PING_RANGE.found(what)
    if asker.uid != 0 and facts.first_port > 80:
        what = f"{asker.user} may not publish ports below {facts.first_port}"
        yield kernel.LOW_PORTS.found(what, start=facts.first_port)
