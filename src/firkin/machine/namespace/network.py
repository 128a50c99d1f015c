"""The network of a namespace: pasta (package passt), which needs no privilege and ends with the launcher.

The container has the address, and the name server, that a machine on the user network has. Nothing stands
for the host's loopback unless that was asked for, and no port of the host's is the container's.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
from collections.abc import Sequence

import msgspec

from firkin.errors import HostUnsupported
from firkin.machine.spec import PublishedPort
from firkin.network.guest import GATEWAY, NAMESERVER
from firkin.network.user import ADDRESS

INTERFACE = "eth0"
_PLACES = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_USER_FD, _NET_FD = 10, 11  # guest/launch.c: HELPER_USER, HELPER_NET


class UserNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """What a namespace has of the outside. The host_port of `ports` is known."""

    ports: tuple[PublishedPort, ...] = ()
    host_loopback: bool = False
    mac: str = ""
    """"": of its own choice."""

    def command(self) -> tuple[str, ...]:
        """The helper, for the launcher to start. Raises HostUnsupported where it is not installed."""
        program = shutil.which("pasta", path=_PLACES)
        if program is None:
            from firkin.faults.kernel import PASTA_MISSING

            raise HostUnsupported(
                "pasta, which gives containers in namespaces their network, is not installed",
                hint=f"{PASTA_MISSING.hint()}; or do without: --network none",
            )
        return (
            program,
            *(("--runas", "0:0") if os.geteuid() == 0 else ()),  # nobody else may enter root's namespaces
            *("--foreground", "--quiet", "--stderr", "--config-net", "-4"),
            *("--ns-ifname", INTERFACE, *(("--ns-mac-addr", self.mac) if self.mac else ())),
            *("--address", ADDRESS, "--netmask", "24", "--gateway", GATEWAY),
            *("--dns-forward", NAMESERVER, *(() if self.host_loopback else ("--no-map-gw",))),
            *_published("--tcp-ports", [port for port in self.ports if port.protocol == "tcp"]),
            *_published("--udp-ports", [port for port in self.ports if port.protocol == "udp"]),
            *("--tcp-ns", "none", "--udp-ns", "none"),
            *("--userns", f"/proc/self/fd/{_USER_FD}", "--netns", f"/proc/self/fd/{_NET_FD}"),
        )


def _published(option: str, ports: Sequence[PublishedPort]) -> tuple[str, ...]:
    if not ports:
        return option, "none"
    return tuple(word for port in ports for word in (option, _forward(port)))


def _forward(port: PublishedPort) -> str:
    everywhere = ipaddress.ip_address(port.host_ip).is_unspecified
    return f"{'' if everywhere else f'{port.host_ip}/'}{port.host_port}:{port.guest_port}"
