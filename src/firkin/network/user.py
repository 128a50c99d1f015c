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
ADDRESS6 = "fec0::f"
"""Its IPv6 address, where it has one."""
HOST6, NAMESERVER6, PREFIX6 = "fec0::2", "fec0::3", "fec0::/64"
"""The VMM's IPv6 network (QEMU's defaults). HOST6 stands for the host's ::1, as does any other address of it
but these: see network.guest."""
_SIX = ("ipv4=on", "ipv6=on", f"ipv6-net={PREFIX6}", f"ipv6-host={HOST6}", f"ipv6-dns={NAMESERVER6}")
_NOT_THE_HOST = "10.0.2.16"
"""QEMU wants the first DHCP address to differ from the host's; nobody asks for one."""


def netdev_args(
    ports: Sequence[PublishedPort], *, host_loopback: bool = False, ipv6: bool = False
) -> tuple[str, ...]:
    """QEMU's `-netdev` for mode `user`, with `ports` forwarded; their host_port is known (see claim_ports).

    The address that stands for the host's loopback is needed by published ports, and for `host_loopback`.
    Else it is the guest's own, which the guest cannot send to: routes alone would not do, since
    SO_BINDTODEVICE passes them.
    IPv6 is off unless asked for: it is a second way to the host's loopback, which a guard must close.
    Raises UsageError for an IPv6 host address, which this network cannot publish on.
    """
    options = [f"hostfwd={_forward(port)}" for port in ports]
    if not ports and not host_loopback:
        options = [f"host={ADDRESS}", f"dhcpstart={_NOT_THE_HOST}"]
    return "-netdev", ",".join((f"user,id={NETDEV}", *(_SIX if ipv6 else ("ipv6=off",)), *options))


def _forward(port: PublishedPort) -> str:
    if ipaddress.ip_address(port.host_ip).version != 4:
        raise UsageError(
            f"cannot publish on {port.host_ip}: only IPv4 addresses", hint="use 0.0.0.0 or 127.0.0.1"
        )
    return f"{port.protocol}:{port.host_ip}:{port.host_port}-{ADDRESS}:{port.guest_port}"
