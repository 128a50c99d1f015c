"""The VMM's side of mode `user`: QEMU's built-in network, which needs no privilege and no other program."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from firkin.errors import UsageError
from firkin.machine.spec import PublishedPort

NETDEV = "net0"
ADDRESS = "10.0.2.15"
"""The guest's, as QEMU would give it."""
MACS = tuple(f"52:54:00:12:34:{0x56 + index:02x}" for index in range(8))
"""What QEMU gives to the cards of a machine that were told nothing, in their order."""
_NOT_THE_HOST = "10.0.2.16"
"""QEMU wants the first DHCP address to differ from the host's; nobody asks for one."""


def netdev_args(ports: Sequence[PublishedPort], *, host_loopback: bool = False) -> tuple[str, ...]:
    """QEMU's `-netdev` for mode `user`, with `ports` forwarded; their host_port is known (see claim_ports).

    The address that stands for the host's loopback is needed by published ports, and for `host_loopback`.
    Else it is the guest's own, which the guest cannot send to: routes alone would not do, since
    SO_BINDTODEVICE passes them.
    IPv6 is off: the guest has no address of it, and it would be a second way to the host's loopback.
    Raises UsageError for an IPv6 host address, which this network cannot publish on.
    """
    options = [f"hostfwd={_forward(port)}" for port in ports]
    if not ports and not host_loopback:
        options = [f"host={ADDRESS}", f"dhcpstart={_NOT_THE_HOST}"]
    return "-netdev", ",".join((f"user,id={NETDEV},ipv6=off", *options))


def _forward(port: PublishedPort) -> str:
    if ipaddress.ip_address(port.host_ip).version != 4:
        raise UsageError(
            f"cannot publish on {port.host_ip}: only IPv4 addresses", hint="use 0.0.0.0 or 127.0.0.1"
        )
    return f"{port.protocol}:{port.host_ip}:{port.host_port}-{ADDRESS}:{port.guest_port}"
