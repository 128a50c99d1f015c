"""Socket: the words of --socket and --publish-socket, and what they must keep before a machine starts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import TypedDict

from firkin.container.shared_socket import SharedSocket
from firkin.errors import UsageError

MAX_SOCKETS = 32


class SocketWords(TypedDict, total=False):
    """What may be said of a container's sockets."""

    sockets: Iterable[str | SharedSocket]
    publish_sockets: Iterable[str | SharedSocket]


def parse_sockets(words: SocketWords) -> tuple[SharedSocket, ...]:
    """The sockets of `words`. Raises UsageError, which names the option and the rule."""
    return (
        *_parsed("sockets", words.get("sockets", ()), published=False),
        *_parsed("publish_sockets", words.get("publish_sockets", ()), published=True),
    )


def _parsed(field: str, words: Iterable[str | SharedSocket], *, published: bool) -> tuple[SharedSocket, ...]:
    if isinstance(words, str):
        raise UsageError(f"{field}: {words!r} is not a list", hint=f"write [{words!r}]")
    return tuple(
        each if isinstance(each, SharedSocket) else parse_socket(each, published=published) for each in words
    )


def parse_socket(word: str, *, published: bool = False) -> SharedSocket:
    """`HOST:CONTAINER[:mode=660,uid=1000,gid=1000]`, with `published` `CONTAINER:HOST[:...]`.

    Raises UsageError.
    """
    from firkin.wire.sockets import Place  # loads what talks, which other runs do later

    field, form = ("publish_socket", "CONTAINER:HOST") if published else ("socket", "HOST:CONTAINER")
    parts = word.split(":")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise UsageError(
            f"{field} {word!r} is not {form}[:OPTIONS]", hint="options are mode=660, uid=1000 and gid=1000"
        )
    guest, host = parts[:2] if published else reversed(parts[:2])
    if not guest.startswith("/"):
        raise UsageError(
            f"{field} {word!r}: {guest!r} is not a path in the container", hint="write an absolute path"
        )
    if not host.startswith(("/", ".", "~")):
        raise UsageError(
            f"{field} {word!r}: {host!r} is not a path", hint=f"write ./{host} for a socket of that name"
        )
    options = _options(field, word, parts[2] if len(parts) == 3 else "")
    return SharedSocket(
        host=os.path.abspath(os.path.expanduser(host)),
        guest=Place.parse(guest).path,
        published=published,
        mode=options.get("mode", 0o600),
        uid=options.get("uid"),
        gid=options.get("gid"),
    )


def _options(field: str, word: str, text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for option in filter(None, text.split(",")):
        key, _, value = option.partition("=")
        base, most = (8, 0o777) if key == "mode" else (10, (1 << 32) - 2)
        digits = "01234567" if base == 8 else "0123456789"
        number = int(value, base) if value and set(value) <= set(digits) and len(value) <= 10 else -1
        if key not in ("mode", "uid", "gid") or not 0 <= number <= most:
            raise UsageError(
                f"{field} {word!r}: option {option!r} cannot be honoured",
                hint="known are mode=660 (octal, at most 777), uid=1000 and gid=1000",
            )
        found[key] = number
    return found


def check_sockets(sockets: tuple[SharedSocket, ...]) -> None:
    """Refuse what cannot be before a machine starts. Raises UsageError."""
    if len(sockets) > MAX_SOCKETS:
        raise UsageError(f"socket: more than {MAX_SOCKETS} sockets", hint="share fewer")
    shared = [each.guest for each in sockets if not each.published]
    published = [each.host for each in sockets if each.published]
    for path in (*shared, *published):
        if shared.count(path) + published.count(path) > 1:
            raise UsageError(f"socket: two sockets at {path}", hint="give each a place of its own")
    for each in sockets:
        _check_published(each) if each.published else _check_shared(each)


def _check_shared(shared: SharedSocket) -> None:
    try:
        is_socket = stat.S_ISSOCK(os.stat(shared.host).st_mode)
    except OSError as error:
        raise UsageError(
            f"socket: cannot find {shared.host} on the host: {error.strerror}",
            hint="start what listens there first, or mend the path",
        ) from error
    if not is_socket:
        raise UsageError(f"socket: {shared.host} is not a socket", hint="use -v for files and directories")


def _check_published(shared: SharedSocket) -> None:
    directory = os.path.dirname(shared.host)
    if not os.path.isdir(directory) or not os.access(directory, os.W_OK | os.X_OK):
        raise UsageError(
            f"publish_socket: {directory} is no directory that you may write to", hint="make it first"
        )
    if os.path.lexists(shared.host) and not stat.S_ISSOCK(os.lstat(shared.host).st_mode):
        raise UsageError(
            f"publish_socket: {shared.host} exists and is not a socket", hint="remove it, or name another"
        )
    if shared.uid not in (None, os.geteuid()) and os.geteuid() != 0:
        raise UsageError(
            f"publish_socket: uid={shared.uid} would give {shared.host} away, which only root may",
            hint="leave uid out; mode=660 and gid= let a group of yours in",
        )
    groups = {os.getegid(), *os.getgroups()}
    if shared.gid is not None and shared.gid not in groups and os.geteuid() != 0:
        raise UsageError(
            f"publish_socket: you are not in group {shared.gid}", hint="name one of yours: id -G"
        )
