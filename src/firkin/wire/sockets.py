"""Sockets in the containers, as the wire of docs/design/wire.md has them: places, requests, events.

`Place` is where a socket is: it is what a person writes, too, so it has a parse and a str.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, ClassVar

import msgspec

from firkin.errors import UsageError
from firkin.wire.messages import U32, Op

MAX_CONNECTIONS = 512
MAX_LISTENERS = 64
LOOPBACK = ("127.0.0.1", "::1")
_MAX_PATH = 4095


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A TCP port at `address` ("": the loopback), or a unix socket at the absolute `path`."""

    path: str = ""
    address: str = ""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0

    @classmethod
    def parse(cls, place: int | str | Place) -> Place:
        """The place that is written `8080`, `10.0.0.2:8080`, `[::1]:8080` or `/run/app.sock`.

        Raises UsageError.
        """
        if isinstance(place, Place):
            return place
        text = str(place)
        if text.startswith("/"):
            return _path(text)
        address, colon, port = text.rpartition(":")
        if not port.isascii() or not port.isdigit() or int(port) > 65535 or (colon and not address):
            raise UsageError(
                f"{text!r} is neither a TCP port nor the path of a socket",
                hint="write PORT (0 to 65535), ADDRESS:PORT or an absolute path",
            )
        return cls(address=_address(address) if address else "", port=int(port))

    def __str__(self) -> str:
        if self.path:
            return self.path
        if not self.address:
            return str(self.port)
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def called(self) -> str:
        """What an error calls it."""
        return self.path or f"port {self}"


def _path(text: str) -> Place:
    if "\0" in text or len(text) > _MAX_PATH or text.rstrip("/").rpartition("/")[2] in ("", ".", ".."):
        raise UsageError(
            f"{text!r} is not the path of a socket", hint="write it absolute, with a name at its end"
        )
    return Place(path=text)


def _address(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not an address", hint="write it in numbers: 127.0.0.1, or [::1] for IPv6"
        ) from error


class Connect(Op, frozen=True, kw_only=True):
    """Connect to a socket; the event Connected tells the outcome. The streams are seen from the socket."""

    op: ClassVar[str] = "connect"
    container: str
    path: str = ""
    address: str = LOOPBACK[0]
    port: int = 0
    connection: int
    input: int
    output: int
    datagrams: bool | msgspec.UnsetType = msgspec.UNSET
    """UDP's; in the streams each stands behind its length (u16, big endian)."""


class Hangup(Op, frozen=True, kw_only=True):
    """End a connection, whatever is on its way."""

    op: ClassVar[str] = "hangup"
    connection: int


class Listen(Op, frozen=True, kw_only=True):
    """Listen for connections, of which Incoming tells. A socket file gets `mode`, `uid` and `gid`."""

    op: ClassVar[str] = "listen"
    listener: int
    container: str
    path: str = ""
    address: str = LOOPBACK[0]
    port: int = 0
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


class Accept(Op, frozen=True, kw_only=True):
    """Take a connection that waits."""

    op: ClassVar[str] = "accept"
    listener: int
    connection: int
    input: int
    output: int


class Unlisten(Op, frozen=True, kw_only=True):
    """Listen no more, and remove the socket file. Connections go on."""

    op: ClassVar[str] = "unlisten"
    listener: int


class Connected(msgspec.Struct, frozen=True, kw_only=True):
    """The event that a `connect` came to its end: with 0, or with why there is no connection."""

    connection: U32
    errno: Annotated[int, msgspec.Meta(ge=0, le=4095)]


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """The event that somebody waits at a listener. Not told again until an Accept found nobody."""

    listener: U32


class Listening(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to Listen: the TCP port, 0 for a path."""

    port: Annotated[int, msgspec.Meta(ge=0, le=65535)]


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to Accept: whether somebody waited."""

    accepted: bool
