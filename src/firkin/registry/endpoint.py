"""Endpoint: where a registry's API is, and whether it may be spoken to without the protection of TLS."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass

DOCKER_HUB = "docker.io"
_DOCKER_HUB_API = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A registry as references name it, the host[:port] of its API, and whether plain HTTP is allowed."""

    registry: str
    host: str
    insecure: bool

    @classmethod
    def of(cls, registry: str, insecure_registries: Collection[str]) -> Endpoint:
        """The endpoint of `registry`. Insecure are those on loopback, and those that the user marked."""
        host = _DOCKER_HUB_API if registry == DOCKER_HUB else registry
        marked = {entry.lower() for entry in insecure_registries}
        name = host_name(registry)
        return cls(registry, host, registry in marked or name in marked or is_loopback(name))


def host_name(host: str) -> str:
    """`host` without its port: `[::1]:5000` is on `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def is_loopback(name: str) -> bool:
    """Whether what is said to `name` never leaves this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
