"""`firkin cp`: files and trees between this host and containers."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, NamedTuple

import click

from firkin.errors import UsageError
from firkin.units import format_size

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.engine.trees import Trees


class Place(NamedTuple):
    container: str
    """"" stands for this host."""
    path: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """`CONTAINER:PATH`, or a path of this host, which may have a colon behind a slash or a dot."""
        container, colon, path = text.partition(":")
        if not colon or not container or "/" in container or container.startswith("."):
            return cls("", text)
        return cls(container, path)


@click.command()
@click.option("-a", "--archive", is_flag=True, help="Keep the ids of owners and groups.")
@click.option("-L", "--follow-link", "follow", is_flag=True, help="Copy what a link SOURCE leads to.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.argument("source", metavar="[CONTAINER:]SOURCE|-")
@click.argument("destination", metavar="[CONTAINER:]DEST|-")
def command(archive: bool, follow: bool, quiet: bool, source: str, destination: str) -> None:
    """Copy files into containers, out of them, or between them.

    Files and trees, with modes, times, links, holes and attributes. What is copied in belongs to root, what
    is copied out to you, unless -a is given. A directory is copied into DEST where that is a directory, else
    to that name; SOURCE/. stands for what is in it. - is a tar archive: from standard input, unpacked into
    the directory DEST with its owners, or to standard output.

    The container needs no tar. One that has ended is given a machine for as long as it takes; in a pod that
    runs, the pod's own.

    \b
    firkin cp ./app web:/srv                    firkin cp web:/var/log/app.log .
    tar -c . | firkin cp - web:/srv             firkin cp web:/srv - | tar -t
    """
    from firkin.cli.progress import progress
    from firkin.cli.session import with_engine

    one, other = Place.parse(source), Place.parse(destination)
    _check(one, other)

    async def copy(engine: Engine) -> int:
        from firkin.engine.opened_trees import trees_of

        container = await engine.container(one.container or other.container)
        with progress(quiet=quiet or destination == "-"):
            async with trees_of(container, engine.settings) as trees:
                if one.container and other.container:
                    return await _across(engine, trees, one, other, follow=follow)
                if one.container:
                    return await _out(trees, one.path, destination, archive=archive, follow=follow)
                return await _in(trees, source, other.path, archive=archive, follow=follow)

    copied = with_engine(copy)
    if not quiet and destination != "-":
        click.echo(f"Successfully copied {format_size(copied)} to {destination}", err=True)


def _check(one: Place, other: Place) -> None:
    if not one.container and not other.container:
        raise UsageError(
            "neither SOURCE nor DEST is in a container", hint="write CONTAINER:PATH for one of them"
        )
    for place in (one, other):
        if place.container and not place.path:
            raise UsageError(f"{place.container}: lacks a path", hint=f"write {place.container}:/PATH")
    if one.container and other.container and one.container == other.container:
        raise UsageError(
            "cannot copy from a container to itself", hint=f"firkin exec {one.container} cp SOURCE DEST"
        )
    if one.path == "-" and not one.container and sys.stdin.isatty():
        raise UsageError("a terminal is no archive", hint="pipe a tar into it")
    if other.path == "-" and not other.container and sys.stdout.isatty():
        raise UsageError("an archive is nothing for a terminal", hint="redirect it, or pipe it to tar")


async def _in(trees: Trees, source: str, destination: str, *, archive: bool, follow: bool) -> int:
    from firkin.engine.copying import copy_in, unpack_into
    from firkin.engine.plain_tar import plain
    from firkin.process.descriptors import Source

    if source != "-":
        return await copy_in(trees, source, destination, archive=archive, follow=follow)

    async def given() -> AsyncIterator[bytes]:
        stdin = Source(0)
        while piece := await stdin.read():
            yield piece

    return (await unpack_into(trees, plain(given()), destination)).bytes


async def _out(trees: Trees, source: str, destination: str, *, archive: bool, follow: bool) -> int:
    from firkin.engine.copying import copy_out, pack_of, write_archive

    if destination != "-":
        return await copy_out(trees, source, destination, archive=archive, follow=follow)
    await write_archive(trees, pack_of(source, follow=follow), sys.stdout.buffer)
    return 0


async def _across(engine: Engine, trees: Trees, one: Place, other: Place, *, follow: bool) -> int:
    from firkin.engine.copying import copy_across
    from firkin.engine.opened_trees import trees_of

    async with trees_of(await engine.container(other.container), engine.settings) as there:
        return (await copy_across(trees, one.path, there, other.path, follow=follow)).bytes
