"""HeirWords: what may be said of a container that starts from a snapshot or goes on from another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from firkin.engine.heir import Wishes
from firkin.engine.words import parse_ports
from firkin.machine.spec import PublishedPort


class HeirWords(TypedDict, total=False):
    """The keywords of restore() and fork(). What is not said is as it was kept."""

    name: str
    hostname: str
    publish: Iterable[str | int | PublishedPort]
    auto_remove: bool


def wishes(
    *,
    detach: bool,
    disk_only: bool = False,
    name: str = "",
    hostname: str = "",
    publish: Iterable[str | int | PublishedPort] | None = None,
    auto_remove: bool | None = None,
) -> Wishes:
    """Wishes from words. Raises UsageError."""
    return Wishes(
        name=name,
        hostname=hostname,
        ports=None if publish is None else parse_ports(publish),
        auto_remove=not detach if auto_remove is None else auto_remove,
        detached=detach,
        cold=disk_only,
    )
