"""The facts of a container's network, with the names that `docker inspect` uses."""

from __future__ import annotations

from typing import Any

from firkin.container.record import Running, State
from firkin.container.spec import ContainerSpec
from firkin.machine.spec import PublishedPort
from firkin.network.guest import GATEWAY, NAMESERVER
from firkin.network.spec import USER, Interface
from firkin.network.user import ADDRESS, ADDRESS6, MACS, NAMESERVER6


def network_settings(spec: ContainerSpec, state: State) -> dict[str, Any]:
    """`NetworkSettings`. The outer address is that of the first card."""
    networks = {card.network: _endpoint(spec, card) for card in spec.network.interfaces}
    first = next(iter(networks.values()), _NOWHERE)
    ports = state.ports if isinstance(state, Running) else spec.ports
    exposed: dict[str, list[dict[str, str]]] = {port: [] for port in spec.network.exposed}
    return {
        **{name: first[name] for name in _NOWHERE},
        "Ports": exposed | port_bindings(ports),
        "Networks": networks,
    }


def network_config(spec: ContainerSpec) -> dict[str, Any]:
    """What of the network stands in `Config`."""
    return {"Domainname": spec.network.domain, "ExposedPorts": {port: {} for port in spec.network.exposed}}


def network_host_config(spec: ContainerSpec) -> dict[str, Any]:
    """What of the network stands in `HostConfig`: what was asked for."""
    network = spec.network
    return {
        "NetworkMode": network.private[0].network if network.private else network.names[0],
        "HostLoopback": network.host_loopback,
        "PortBindings": port_bindings(spec.ports),
        "PublishAllPorts": network.publish_all,
        "Dns": list(network.dns.servers),
        "DnsSearch": list(network.dns.search or ()),
        "DnsOptions": list(network.dns.options or ()),
        "ExtraHosts": [f"{name}:{entry.address}" for entry in network.hosts for name in entry.names],
        "Sysctls": dict(network.sysctls),
    }


def port_bindings(ports: tuple[PublishedPort, ...]) -> dict[str, list[dict[str, str]]]:
    """Where each published port is reached."""
    found: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        binding = {"HostIp": port.host_ip, "HostPort": str(port.host_port or "")}
        found.setdefault(f"{port.guest_port}/{port.protocol}", []).append(binding)
    return found


_NOWHERE = {
    "IPAddress": "", "IPPrefixLen": 0, "Gateway": "", "MacAddress": "",
    "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "IPv6Gateway": "",
}  # fmt: skip


def _endpoint(spec: ContainerSpec, card: Interface) -> dict[str, Any]:
    if card.network != USER:
        return _private(spec, card)
    published = bool(spec.forwarded_ports) or spec.network.host_loopback
    six = {"GlobalIPv6Address": ADDRESS6, "GlobalIPv6PrefixLen": 128, "IPv6Gateway": NAMESERVER6}
    return (_NOWHERE | six if spec.network.ipv6 else _NOWHERE) | {
        "Interface": spec.network.called(card),
        "IPAddress": ADDRESS,
        "IPPrefixLen": 32,
        "Gateway": GATEWAY if published else NAMESERVER,
        "MacAddress": card.mac or MACS[0],
    }


def _private(spec: ContainerSpec, card: Interface) -> dict[str, Any]:
    address, _, prefix = card.address.partition("/")
    six, _, prefix6 = card.address6.partition("/")
    return _NOWHERE | {
        "Interface": spec.network.called(card),
        "NetworkID": card.id,
        "IPAddress": address,
        "IPPrefixLen": int(prefix or 0),
        "Gateway": card.gateway,
        "GlobalIPv6Address": six,
        "GlobalIPv6PrefixLen": int(prefix6 or 0),
        "MacAddress": card.mac,
        "Aliases": list(card.aliases),
        "DNSNames": list(dict.fromkeys((spec.name, *card.aliases, spec.id[:12], spec.hostname))),
    }
