"""What machines and kernels have to say to their user, such as that KVM does not work here.

That of a machine is said once, not at every run: it is remembered in the cache, and `firkin info` says it
again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from firkin.cli.report import say
from firkin.events import Event, subscribed

_ONCE, _ALWAYS = "machine.notice", "kernel.notice"


@contextmanager
def notices(*, quiet: bool = False) -> Iterator[None]:
    """Say the notices of the block on standard error; none when `quiet`."""
    if quiet:
        yield
        return
    with subscribed(_notice):
        yield


def _notice(event: Event) -> None:
    if event.name in (_ONCE, _ALWAYS):
        text = str(event.fields.get("text", ""))
        if event.name == _ALWAYS or not _remembered(text):
            say(text)


def left_out(event: Event) -> None:
    """A subscriber that says which ports and sockets of a snapshot from elsewhere are not opened here."""
    if event.name == "snapshot.ports_left_out":
        say(f"ports that it published are left out: {event.fields['ports']}")
    if event.name == "snapshot.sockets_left_out":
        say(f"sockets that it shared are left out: {event.fields['sockets']}")


def _remembered(text: str) -> bool:
    """Whether `text` was said before; from now on it was."""
    from firkin.machine.artifacts import keep, lookup
    from firkin.settings import Settings

    cache_dir = Settings.load().paths.cache_dir
    if lookup(cache_dir, "notice", (text,)) is not None:
        return True
    keep(cache_dir, "notice", (text,), text.encode())
    return False
