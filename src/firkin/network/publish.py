"""Published ports: choosing the free ones, and saying early and clearly which cannot be had.

The rule: a port is tried by binding it, the one test that is never wrong. It is let go again for the VMM, so
the VMM's own refusal must be understood as well (machine.qemu.exit).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

import msgspec

from firkin.errors import FirkinError, HostUnsupported, PortInUse, UsageError
from firkin.machine.spec import PublishedPort

_BACKLOG = 128


def claim_ports(ports: Sequence[PublishedPort]) -> tuple[PublishedPort, ...]:
    """`ports` with every host_port known: 0 becomes a free one.

    Raises PortInUse for a taken one, HostUnsupported where this user may not bind it, UsageError for an
    address that is not this host's.
    """
    sockets: list[socket.socket] = []
    try:
        for port in ports:
            sockets.append(_bind(port))
        numbers = [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
    return tuple(
        msgspec.structs.replace(port, host_port=number) for port, number in zip(ports, numbers, strict=True)
    )


def listening(port: PublishedPort) -> socket.socket:
    """A socket that listens where `port` is published, or takes its datagrams. Raises as claim_ports()."""
    sock = _bind(port)
    if port.protocol == "tcp":
        sock.listen(_BACKLOG)
    sock.setblocking(False)
    return sock


def _bind(port: PublishedPort) -> socket.socket:
    family = socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET
    kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(family, kind)
    try:
        if port.protocol == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # what IPv4 publishes there is another's
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((port.host_ip, port.host_port))
        if port.protocol == "tcp":
            sock.listen(1)  # with SO_REUSEADDR only this tells that nobody else listens
    except OSError as error:
        sock.close()
        raise _refusal(port, error) from error
    return sock


def _refusal(port: PublishedPort, error: OSError) -> FirkinError:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"cannot publish {port}: the host's port is in use",
            hint=f"choose another, or find who has it: ss -lnp '( sport = :{port.host_port} )'",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        from firkin.faults.kernel import LOW_PORTS

        allow = f"sudo sysctl net.ipv4.ip_unprivileged_port_start={port.host_port}"
        return HostUnsupported(
            f"cannot publish {port}: this user may not bind the port",
            hint=f"choose one from 1024 on, or: {allow}; {LOW_PORTS.more}",
        )
    return UsageError(
        f"cannot publish {port}: {error.strerror}", hint="give an address of this host, or none"
    )
