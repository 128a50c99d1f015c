"""Plug: what the switch of a private network is told of one card of a machine."""

from __future__ import annotations

import msgspec


class Plug(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card, and who it is. Addresses are without a prefix."""

    container: str
    vmm: int
    """The process of its VMM: a container that was started again has another."""
    socket: str
    """Where the VMM listens for the card's frames."""
    mac: str
    address: str
    address6: str = ""
    names: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    """The name servers that its container chose."""
    others: tuple[str, ...] = ()
    """The other private networks that its machine is on."""
