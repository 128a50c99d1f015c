"""HeirWords: what may be said of a container that starts from a snapshot or goes on from another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from firkin.container.shared_socket import SharedSocket
from firkin.engine.heir import Wishes
from firkin.engine.socket_words import parse_sockets
from firkin.engine.words import parse_ports
from firkin.machine.spec import PublishedPort


class HeirWords(TypedDict, total=False):
    """The keywords of restore() and fork(). What is not said is as it was kept."""

    name: str
    hostname: str
    publish: Iterable[str | int | PublishedPort]
    publish_sockets: Iterable[str | SharedSocket]
    auto_remove: bool


def wishes(
    *,
    detach: bool,
    disk_only: bool = False,
    name: str = "",
    hostname: str = "",
    publish: Iterable[str | int | PublishedPort] | None = None,
    publish_sockets: Iterable[str | SharedSocket] | None = None,
    auto_remove: bool | None = None,
) -> Wishes:
    """Wishes from words. Raises UsageError."""
    return Wishes(
        name=name,
        hostname=hostname,
        ports=None if publish is None else parse_ports(publish),
        published_sockets=None
        if publish_sockets is None
        else parse_sockets({"publish_sockets": publish_sockets}),
        auto_remove=not detach if auto_remove is None else auto_remove,
        detached=detach,
        cold=disk_only,
    )
