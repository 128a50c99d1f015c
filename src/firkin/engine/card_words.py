"""The words for a container's cards: --network, and what may be said of one of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import msgspec

from firkin.container.leases import MOST_CARDS
from firkin.container.private_network import check_name
from firkin.errors import UsageError
from firkin.network import mac
from firkin.network.names import DOMAIN_RULE, is_domain
from firkin.network.spec import USER, Interface

MOST_ALIASES = 32
_USER_OPTIONS = ("host-loopback", "ipv6")
_CARD_OPTIONS = "ip=ADDRESS, ip6=ADDRESS, mac=ADDRESS and alias=NAME"


def cards(
    said: str | Iterable[str], *, mac_address: str, ip: str, ip6: str, aliases: tuple[str, ...]
) -> tuple[tuple[Interface, ...], set[str]]:
    """The cards in the order in which they were said, and what the user network is to have beside the usual.

    Raises UsageError.
    """
    names = ((said,) if isinstance(said, str) else tuple(said)) or (USER,)
    found: list[Interface] = []
    asked: set[str] = set()
    if "none" not in names:
        for text in names:
            name, _, options = text.partition(":")
            if name == USER:
                asked |= _user_options(options)
                found.append(Interface())
            else:
                found.append(_card(check_name(name), options))
    elif len(names) > 1:
        raise UsageError("network: none stands alone", hint="leave out --network none, or the others")
    _check_once(found)
    if mac_address:
        if not found:
            raise UsageError("mac_address: without a network there is no card", hint="leave it out")
        found[0] = msgspec.structs.replace(found[0], mac=_mac("mac_address", mac_address))
    return _with_words(tuple(found), ip, ip6, aliases), asked


def card(name: str, *, ip: str, ip6: str, aliases: Iterable[str], mac_address: str) -> Interface:
    """The card that a container is to have on network `name`. Raises UsageError."""
    mac = _mac("mac_address", mac_address) if mac_address else ""
    names = tuple(aliases)
    if name != USER:
        card = Interface(network=check_name(name), mac=mac)
        return _with_words((card,), ip, ip6, names)[0]
    if word := "ip" if ip else "ip6" if ip6 else "alias" if names else "":
        raise UsageError(f"{word}: it is said of private networks, not of {USER}", hint="leave it out")
    return Interface(mac=mac)


def _check_once(found: list[Interface]) -> None:
    names = [card.network for card in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"network: {name} is given twice", hint="give it once")
    if len(found) >= MOST_CARDS:
        raise UsageError(f"network: {len(found)} are more than {MOST_CARDS - 1}", hint="leave some out")


def _with_words(
    found: tuple[Interface, ...], ip: str, ip6: str, aliases: tuple[str, ...]
) -> tuple[Interface, ...]:
    """`found` with what was said without a network's name, as Docker has it: of the one that there is."""
    if not (ip or ip6 or aliases):
        return found
    word = "ip" if ip else "ip6" if ip6 else "network_alias"
    private = [card for card in found if card.network != USER]
    if len(private) != 1:
        raise UsageError(
            f"{word}: it is said of one private network, and there are {len(private)}",
            hint=f"say it of one: --network NAME:{'alias' if word == 'network_alias' else word}=...",
        )
    (old,) = private
    new = msgspec.structs.replace(
        old,
        address=_address("ip", ip, 4) if ip else old.address,
        address6=_address("ip6", ip6, 6) if ip6 else old.address6,
        aliases=_aliases((*old.aliases, *aliases)),
    )
    return tuple(new if card is old else card for card in found)


def _card(name: str, options: str) -> Interface:
    card = Interface(network=name)
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key == "ip":
            card = msgspec.structs.replace(card, address=_address("network: ip", value, 4))
        elif key == "ip6":
            card = msgspec.structs.replace(card, address6=_address("network: ip6", value, 6))
        elif key == "mac":
            card = msgspec.structs.replace(card, mac=_mac("network: mac", value))
        elif key == "alias":
            card = msgspec.structs.replace(card, aliases=_aliases((*card.aliases, value)))
        else:
            raise UsageError(f"network: {option!r} is no option of {name}", hint=f"there are {_CARD_OPTIONS}")
    return card


def _address(field: str, text: str, version: int) -> str:
    found = ip_address(field, text)
    if found.version != version:
        raise UsageError(f"{field}: {text} is not an IPv{version} address", hint="ip is IPv4's, ip6 IPv6's")
    return str(found)


def _aliases(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not is_domain(name):
            raise UsageError(f"network_alias: {name!r} is not a name", hint=DOMAIN_RULE)
    if len(names) > MOST_ALIASES:
        raise UsageError(f"network_alias: {len(names)} are more than {MOST_ALIASES}", hint="leave some out")
    return tuple(dict.fromkeys(names))


def _user_options(options: str) -> set[str]:
    """Those of the user network that are on."""
    asked: set[str] = set()
    for option in filter(None, options.split(",")):
        name, equals, value = option.partition("=")
        if name not in _USER_OPTIONS or (equals and value not in ("true", "false")):
            raise UsageError(
                f"network: {option!r} is no option of {USER}",
                hint=f"there are {' and '.join(f'{each}=true' for each in _USER_OPTIONS)}",
            )
        asked = asked - {name} if value == "false" else asked | {name}
    return asked


def _mac(field: str, text: str) -> str:
    try:
        return mac.parse(text)
    except ValueError as error:
        raise UsageError(
            f"{field}: {text!r} is not a card's address: {error}", hint="such as 02:42:ac:11:00:02"
        ) from error


def ip_address(field: str, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """`text` as an address. Raises UsageError, which names `field`."""
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise UsageError(
            f"{field}: {text!r} is not an IP address", hint="such as 192.0.2.1 or 2001:db8::1"
        ) from error
