"""Rules of a container's network that need more than one word to tell, checked before anything starts."""

from __future__ import annotations

from firkin.engine.options import RunOptions
from firkin.errors import UsageError
from firkin.machine.spec import PublishedPort
from firkin.network.names import HOSTNAME_RULE, is_hostname
from firkin.network.spec import HOST_GATEWAY

MOST_PORTS = 1000
"""QEMU is told of them in one word of its command line, which execve(2) bounds."""

MOST_RELAYED = 128
"""On IPv6 addresses, of one machine: each is a descriptor of its owner."""


def check_network(options: RunOptions) -> None:
    """Refuse what is wrong. Raises UsageError."""
    network = options.network
    if options.hostname and not is_hostname(options.hostname):
        raise UsageError(f"hostname: {options.hostname!r} is not a host name", hint=HOSTNAME_RULE)
    if not network.host_loopback and any(entry.address == HOST_GATEWAY for entry in network.hosts):
        raise UsageError(
            f"add_host: {HOST_GATEWAY} is the host's loopback, which this container does not reach",
            hint="allow it: --network user:host-loopback=true",
        )
    if not network.interfaces and (options.ports or network.publish_all):
        raise UsageError(
            "publish: a container without network has no ports", hint="leave out --network none or -p"
        )
    check_ports(options.ports)
    check_relayed(options.ports)


def check_relayed(ports: tuple[PublishedPort, ...]) -> None:
    """Refuse more ports on IPv6 addresses than one machine's owner relays. Raises UsageError."""
    relayed = [port for port in ports if port.ipv6]
    if len(relayed) > MOST_RELAYED:
        raise UsageError(
            f"publish: {len(relayed)} ports on IPv6 addresses are more than {MOST_RELAYED}",
            hint="publish fewer",
        )


def check_way_in(options: RunOptions) -> None:
    """Refuse published ports of a container whose networks are all internal. Raises UsageError."""
    network = options.network
    if network.private and network.mode == "none" and (options.ports or network.publish_all):
        raise UsageError(
            "publish: a container on internal networks alone has no ports outside",
            hint="add --network user, or leave out -p",
        )


def check_ports(ports: tuple[PublishedPort, ...]) -> None:
    """Refuse too many, and one given twice. Raises UsageError."""
    if len(ports) > MOST_PORTS:
        raise UsageError(f"publish: {len(ports)} ports are more than {MOST_PORTS}", hint="publish fewer")
    taken: set[tuple[str, int, str]] = set()
    for port in ports:
        known = (port.host_ip, port.host_port, port.protocol)
        if port.host_port and known in taken:
            raise UsageError(
                f"publish: host port {port.host_port}/{port.protocol} is given twice",
                hint="give each a port of its own",
            )
        taken.add(known)
