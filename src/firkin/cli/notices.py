"""What a machine has to say to its user, such as that KVM does not work here: said once, not at every run.

That it was said is remembered in the cache; `firkin info` says it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from firkin.cli.report import say
from firkin.events import Event, subscribed

_NOTICE = "machine.notice"


@contextmanager
def notices(*, quiet: bool = False) -> Iterator[None]:
    """Say the notices of the block on standard error, each for the first time only; none when `quiet`."""
    if quiet:
        yield
        return
    with subscribed(_notice):
        yield


def _notice(event: Event) -> None:
    if event.name == _NOTICE:
        text = str(event.fields.get("text", ""))
        if not _remembered(text):
            say(text)


def _remembered(text: str) -> bool:
    """Whether `text` was said before; from now on it was."""
    from firkin.machine.artifacts import keep, lookup
    from firkin.settings import Settings

    cache_dir = Settings.load().paths.cache_dir
    if lookup(cache_dir, "notice", (text,)) is not None:
        return True
    keep(cache_dir, "notice", (text,), text.encode())
    return False
