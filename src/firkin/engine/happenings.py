"""Happenings: what the journal has that somebody wants to see, from a time on, until a time."""

from __future__ import annotations

import errno
import time
from collections.abc import AsyncIterator, Iterable

import msgspec

from firkin.container import journal
from firkin.container.journal import Happening
from firkin.errors import HostUnsupported, UsageError
from firkin.paths import Paths

KEYS = ("type", "event", "container", "image", "volume", "network", "label")


class Wanted(msgspec.Struct, frozen=True):
    """By key, what is wanted of it: one of each key's values has to fit, as with `docker events`."""

    values: dict[str, tuple[str, ...]] = {}

    @classmethod
    def parse(cls, filters: Iterable[str]) -> Wanted:
        """`KEY=VALUE` each. Raises UsageError."""
        found: dict[str, tuple[str, ...]] = {}
        for text in filters:
            key, equals, value = text.partition("=")
            if key not in KEYS or not equals or not value:
                raise UsageError(
                    f"filter: {text!r} is not KEY=VALUE", hint=f"KEY is one of {', '.join(KEYS)}"
                )
            found[key] = (*found.get(key, ()), value)
        return cls(found)

    def fits(self, happening: Happening) -> bool:
        """Whether it is one of those that are wanted."""
        return all(
            any(_fits(happening, key, value) for value in values) for key, values in self.values.items()
        )


def _fits(happening: Happening, key: str, value: str) -> bool:
    of = happening.attributes
    if key == "type":
        return happening.type == value
    if key == "event":
        return value in (happening.action, happening.action.partition(":")[0])
    if key == "container":
        is_one = happening.type == "container"
        return is_one and (of.get("name") == value or happening.id.startswith(value))
    if key == "volume":
        return happening.type == "volume" and happening.id == value
    if key == "network":
        return happening.type == "network" and (of.get("name") == value or happening.id.startswith(value))
    if key == "image":
        return value in (of.get("image"), *((happening.id, of.get("name")) * (happening.type == "image")))
    name, equals, wanted = value.partition("=")
    return name in of and (not equals or of[name] == wanted)


async def happenings(
    paths: Paths, wanted: Wanted, *, since_ns: int | None, until_ns: int | None
) -> AsyncIterator[Happening]:
    """Those that are `wanted`, from `since_ns` (None: now) until `until_ns` (None: for ever), both of
    CLOCK_REALTIME. Raises HostUnsupported.
    """
    begin_ns = time.time_ns() if since_ns is None else since_ns

    def over() -> bool:
        return until_ns is not None and time.time_ns() >= until_ns

    try:
        async for each in journal.follow(paths, over):
            within = each.time_ns >= begin_ns and (until_ns is None or each.time_ns < until_ns)
            if within and wanted.fits(each):
                yield each
    except OSError as error:
        from firkin.faults.kernel import INOTIFY_FEW

        raise HostUnsupported(
            f"cannot follow {paths.events_path}: {error.strerror}",
            hint=INOTIFY_FEW.hint() if error.errno in (errno.EMFILE, errno.ENOSPC) else "check its mode",
        ) from error
