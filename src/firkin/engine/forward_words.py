"""ForwardWords: what `firkin forward` is told, `[HOSTADDR:]HOSTPORT:PORT` and the like, as values."""

from __future__ import annotations

import os

import msgspec

from firkin.errors import UsageError
from firkin.wire.sockets import Place

_HINT = "write PORT, [ADDRESS:]HOSTPORT:PORT, HOSTPORT:/path, ./host.sock:PORT or ./host.sock:/path"


class Forward(msgspec.Struct, frozen=True):
    """A place on the host and one in a container. str() gives what parse() takes."""

    host: Place
    guest: Place

    @classmethod
    def parse(cls, word: str) -> Forward:
        """`word` as a Forward; a lone PORT is the same on both sides, an empty HOSTPORT a free one.

        Raises UsageError.
        """
        host, path, tail = word.partition(":/")
        if path:
            return cls(_host(host, word), _guest("/" + tail, word))
        host, colon, guest = word.rpartition(":")
        return cls(_host(host if colon else guest, word), _guest(guest, word))

    def __str__(self) -> str:
        return f"{self.host}:{self.guest}"


def _host(text: str, word: str) -> Place:
    if "/" in text and text != word:
        return Place(path=os.path.abspath(os.path.expanduser(text)))
    return _place(text or "0", word)


def _guest(text: str, word: str) -> Place:
    place = _place(text, word)
    if place.path == word or not (place.path or place.port):
        raise UsageError(f"{word!r} does not name both sides", hint=_HINT)
    return place


def _place(text: str, word: str) -> Place:
    try:
        return Place.parse(text)
    except UsageError as error:
        raise UsageError(f"{word!r}: {error}", hint=_HINT) from error
