"""The words for a container's network, with the syntax of Docker and podman: NetworkSpec from what was said.

What needs no more than the words themselves is refused here; engine.network_rules has the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypedDict, TypeVar

from firkin.engine.card_words import cards, ip_address
from firkin.errors import UsageError
from firkin.machine.spec import PublishedPort
from firkin.network.names import DOMAIN_RULE, HOSTNAME_RULE, is_domain, is_hostname
from firkin.network.resolv_conf import MOST_SERVERS
from firkin.network.spec import HOST_GATEWAY, Dns, HostEntry, NetworkSpec

T = TypeVar("T")
MOST_DOMAINS, MOST_OPTIONS, MOST_HOSTS, MOST_NAMES, MOST_SYSCTLS = 32, 32, 256, 32, 128
_OPTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,63}")
_SYSCTL = re.compile(r"[a-z0-9_]+(\.[A-Za-z0-9_-]+)+")
_MAX_SYSCTL_CHARS = 200
_IPC_SYSCTLS = frozenset(
    f"kernel.{name}"
    for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)


class NetworkWords(TypedDict, total=False):
    """What may be said of a container's network."""

    network: str | Iterable[str]
    publish: Iterable[str | int | PublishedPort]
    publish_all: bool
    expose: Iterable[str | int]
    dns: Iterable[str]
    dns_search: Iterable[str]
    dns_options: Iterable[str]
    add_hosts: Iterable[str | HostEntry]
    domainname: str
    mac_address: str
    ip: str
    ip6: str
    network_aliases: Iterable[str]
    sysctls: Mapping[str, str] | Iterable[str]


def network_spec(words: NetworkWords) -> NetworkSpec:
    """What `words` ask for. Raises UsageError, which names the word and the rule."""
    interfaces, options = cards(
        words.get("network", ()),
        mac_address=words.get("mac_address", ""),
        ip=words.get("ip", ""),
        ip6=words.get("ip6", ""),
        aliases=_listed("network_alias", words.get("network_aliases", ())),
    )
    return NetworkSpec(
        interfaces=interfaces,
        host_loopback="host-loopback" in options,
        ipv6="ipv6" in options,
        dns=_dns(words),
        hosts=_each("add_host", words.get("add_hosts", ()), _host, MOST_HOSTS),
        domain=_domain(words.get("domainname", "")),
        sysctls=_sysctls(words.get("sysctls", ())),
        exposed=exposed(words.get("expose", ())),
        publish_all=words.get("publish_all", False),
    )


def exposed(ports: Iterable[str | int]) -> tuple[str, ...]:
    """`80`, `80/udp`, `80-90`: the ports of the container that they name, as `80/tcp`. Raises UsageError."""
    found: list[str] = []
    for text in _listed("expose", ports):
        if ":" in str(text):
            raise UsageError(f"expose: {text!r} is no port of a container", hint="write 80, 80/udp or 80-90")
        found += (f"{port.guest_port}/{port.protocol}" for port in PublishedPort.parse(str(text)))
    return tuple(dict.fromkeys(found))


def _dns(words: NetworkWords) -> Dns:
    search = _each("dns_search", words.get("dns_search", ()), _search, MOST_DOMAINS)
    options = _each("dns_option", words.get("dns_options", ()), _option, MOST_OPTIONS)
    return Dns(
        servers=_each("dns", words.get("dns", ()), _server, MOST_SERVERS),
        search=tuple(domain for domain in search if domain != ".") if search else None,
        options=options or None,
    )


def _server(text: str) -> str:
    address = ip_address("dns", text)
    if address.is_multicast or address.is_unspecified:
        raise UsageError(f"dns: {text} is nobody's address", hint="give the address of a name server")
    return str(address)


def _search(text: str) -> str:
    if text != "." and not is_domain(text.removesuffix(".")):
        raise UsageError(f"dns_search: {text!r} is not a domain", hint=f"{DOMAIN_RULE}; or . for no domain")
    return text


def _option(text: str) -> str:
    if not _OPTION.fullmatch(text):
        raise UsageError(
            f"dns_option: {text!r} is no option of resolv.conf", hint="such as ndots:2 or rotate"
        )
    return text


def _host(said: str | HostEntry) -> HostEntry:
    entry = said if isinstance(said, HostEntry) else _parsed_host(said)
    if not 1 <= len(entry.names) <= MOST_NAMES:
        raise UsageError(
            f"add_host: {len(entry.names)} names for {entry.address}", hint=f"give 1 to {MOST_NAMES}"
        )
    for name in entry.names:
        if not is_domain(name):
            raise UsageError(f"add_host: {name!r} is not a host's name", hint=DOMAIN_RULE)
    if not entry.comment.isprintable() or len(entry.comment) > 256:
        raise UsageError(f"add_host: the comment of {entry.names[0]} is not one line", hint="shorten it")
    address = entry.address
    if address != HOST_GATEWAY:
        address = str(ip_address("add_host", address))
    return HostEntry(names=entry.names, address=address, comment=entry.comment)


def _parsed_host(text: str) -> HostEntry:
    """`NAME[,NAME...]:IP`, as Docker also with = and with brackets."""
    cut = next((at for at, letter in enumerate(text) if letter in ":="), len(text))
    names, address = text[:cut], text[cut + 1 :]
    if not names or not address:
        raise UsageError(
            f"add_host: {text!r} is not NAME:IP", hint="such as db:10.0.0.5 or db,cache:10.0.0.5"
        )
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    return HostEntry(names=tuple(names.split(",")), address=address)


def _domain(text: str) -> str:
    if text and not is_hostname(text):
        raise UsageError(f"domainname: {text!r} is not a domain's name", hint=HOSTNAME_RULE)
    return text


def _sysctls(said: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    pairs = (
        tuple(said.items())
        if isinstance(said, Mapping)
        else tuple(_sysctl_pair(text) for text in _listed("sysctl", said))
    )
    for name, value in pairs:
        _check_sysctl(name, value)
    if len(pairs) > MOST_SYSCTLS:
        raise UsageError(f"sysctl: more than {MOST_SYSCTLS} are given", hint="leave some out")
    return dict(pairs)


def _sysctl_pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"sysctl: {text!r} has no value", hint="write NAME=VALUE")
    return name.replace("/", "."), value


def _check_sysctl(name: str, value: str) -> None:
    if name in ("kernel.hostname", "kernel.domainname"):
        flag = name.removeprefix("kernel.")
        raise UsageError(f"sysctl: {name} has a flag of its own", hint=f"use --{flag}")
    own = name.startswith(("net.", "fs.mqueue.")) or name in _IPC_SYSCTLS
    if not own or not _SYSCTL.fullmatch(name) or len(name) > _MAX_SYSCTL_CHARS:
        raise UsageError(
            f"sysctl: {name!r} is not one of a container's own namespaces",
            hint="those are net.*, fs.mqueue.*, and of kernel.* msg*, sem and shm*",
        )
    if not value.replace("\t", " ").isprintable() or not 0 < len(value.encode()) < 256:
        raise UsageError(f"sysctl: the value of {name} is not one line of 1 to 255 bytes", hint="shorten it")


def _each(field: str, said: Iterable[T], parse: Callable[[T], object], most: int) -> tuple:  # type: ignore[type-arg]
    found = tuple(parse(each) for each in _listed(field, said))
    if len(found) > most:
        raise UsageError(f"{field}: {len(found)} are given, more than {most}", hint="leave some out")
    return found


def _listed(field: str, said: Iterable[T]) -> tuple[T, ...]:
    if isinstance(said, str | bytes):
        raise UsageError(f"{field}: {said!r} is not a list", hint=f"write [{said!r}]")
    return tuple(said)
