"""resolv.conf(5): what the guest's resolver reads, from what was asked for and what the host's says.

The rule: what was asked for replaces the host's of its kind whole, as with Docker; nothing of the host's but
its search list and its options ever gets in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from firkin.network.spec import Dns

MOST_SERVERS = 3
"""resolv.conf(5), MAXNS: resolvers read no more."""
_RESOLV_CONF = Path("/etc/resolv.conf")
_MAX_BYTES = 64 << 10
_MAX_HOST_DOMAINS = 6


def resolv_conf(host: str, own: Sequence[str], dns: Dns, domain: str) -> bytes:
    """The file for a guest whose networks have the name servers `own`, where `dns` names none.

    `domain` is what it searches where it was told no search list.
    """
    kept = _kept(host)
    search = (() if domain else kept["search"]) if dns.search is None else dns.search
    options = kept["options"] if dns.options is None else dns.options
    lines = [f"nameserver {server}" for server in dns.servers or own]
    lines += [f"domain {domain}"] if domain else []
    lines += [f"search {' '.join(search)}"] if search else []
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines).encode()


def _kept(host: str) -> dict[str, tuple[str, ...]]:
    """The search list and the options of the host's file; of each the last one counts."""
    kept: dict[str, tuple[str, ...]] = {"search": (), "options": ()}
    for line in host.splitlines():
        keyword, *values = line.split()[: _MAX_HOST_DOMAINS + 1] or [""]
        if values and keyword in ("search", "domain", "options"):
            kept["search" if keyword == "domain" else keyword] = tuple(values)
    return kept | {"search": () if kept["search"] == (".",) else kept["search"]}


def name_servers() -> tuple[str, ...]:
    """Whom the host asks."""
    found = []
    for line in of_the_host().splitlines():
        keyword, *values = line.split()[:2] or [""]
        with suppress(ValueError):
            if keyword == "nameserver" and values:
                found.append(str(ipaddress.ip_address(values[0])))
    return tuple(found[:MOST_SERVERS]) or ("127.0.0.1",)


def of_the_host() -> str:
    """The host's file; "" for a host without a resolver: the guest's queries then fail as the host's do."""
    try:
        with _RESOLV_CONF.open("rb") as file:
            return file.read(_MAX_BYTES).decode("ascii", "replace")
    except OSError:
        return ""
