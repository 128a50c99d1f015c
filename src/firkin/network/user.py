"""The VMM's side of mode `user`: QEMU's built-in network, which needs no privilege and no other program."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from firkin.errors import UsageError
from firkin.machine.spec import PublishedPort
from firkin.network.guest import ADDRESS

NETDEV = "net0"


def netdev_args(ports: Sequence[PublishedPort]) -> tuple[str, ...]:
    """QEMU's `-netdev` for mode `user`, with `ports` forwarded; their host_port is known (see claim_ports).

    IPv6 is off: the guest has no address of it, and it would be a second way to the host's loopback.
    Raises UsageError for an IPv6 host address, which this network cannot publish on.
    """
    forwards = ",".join(f"hostfwd={_forward(port)}" for port in ports)
    return "-netdev", f"user,id={NETDEV},ipv6=off" + (f",{forwards}" if forwards else "")


def _forward(port: PublishedPort) -> str:
    if ipaddress.ip_address(port.host_ip).version != 4:
        raise UsageError(
            f"cannot publish on {port.host_ip}: only IPv4 addresses", hint="use 0.0.0.0 or 127.0.0.1"
        )
    return f"{port.protocol}:{port.host_ip}:{port.host_port}-{ADDRESS}:{port.guest_port}"
