"""Removal: what `rm` does with each of the names that it was given, whatever they name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from firkin.errors import NotFound


def remove_each(
    names: Iterable[str], remove: Callable[[str], object], missing: type[NotFound], *, force: bool
) -> int:
    """Call `remove` for every name and print those that it worked for; the exit status, as session.each().

    With `force` it is no error where there is none.
    """
    import asyncio

    from firkin.cli.session import each

    async def one(name: str) -> str:
        try:
            remove(name)
        except missing:
            if not force:
                raise
        return name

    return asyncio.run(each(names, one))
