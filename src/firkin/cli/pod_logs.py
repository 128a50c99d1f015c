"""`firkin pod logs`: what the containers of a pod printed, each line with its container's name."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import click

from firkin.cli.logs import log_options

if TYPE_CHECKING:
    from firkin.container.log import LogRecord
    from firkin.engine.container import Container
    from firkin.engine.engine import Engine

_LONGEST_LINE = 1 << 16


@click.command("logs")
@log_options
@click.option("-c", "--container", "chosen", default="", metavar="CONTAINER", help="Only this one of it.")
@click.argument("name", metavar="POD")
@click.argument("container", required=False, default="", metavar="[CONTAINER]")
def command(
    *, follow: bool, tail: str, since: str, timestamps: bool, chosen: str, name: str, container: str
) -> None:
    """Show what the containers of a pod printed.

    Lines stand in the order of their times, each behind its container's name, unless only one is asked for.
    With -f they come as they are printed, until all containers have ended.
    """
    from firkin.cli.instant import parse_instant
    from firkin.cli.logs import lines_of
    from firkin.cli.session import with_engine

    lines = lines_of(tail)
    since_ns = parse_instant(since, time.time_ns()) if since else None

    async def logs(engine: Engine) -> None:
        found = await _members(engine, name, container or chosen)
        writers = [Lines("" if len(found) == 1 else each.name, timestamps=timestamps) for each in found]
        sources = [each.logs(follow=follow, tail=lines, since_ns=since_ns) for each in found]
        if follow:
            async with asyncio.TaskGroup() as tasks:
                for source, writer in zip(sources, writers, strict=True):
                    tasks.create_task(_copy(source, writer))
        else:
            await _merge(sources, writers)

    with_engine(logs)


async def _members(engine: Engine, pod_name: str, chosen: str) -> list[Container]:
    """The containers of the pod, or the one that is called so, with or without the pod's name before it."""
    from firkin.errors import ContainerNotFound

    pod = engine.pods.find(pod_name)
    wanted = ("", chosen, f"{pod.name}-{chosen}")
    found = [
        await engine.container(record.id)
        for record, spec in pod.members()
        if not chosen or spec.name in wanted or record.id.startswith(chosen)
    ]
    if chosen and not found:
        raise ContainerNotFound(
            f"pod {pod.name!r} has no container {chosen!r}",
            hint=f"`firkin pod inspect {pod.name}` names those that it has",
        )
    return found


async def _copy(source: AsyncIterator[LogRecord], writer: Lines) -> None:
    async for record in source:
        writer.write(record)
    writer.end()


async def _merge(sources: list[AsyncIterator[LogRecord]], writers: list[Lines]) -> None:
    """All records in the order of their times; at most one of each source is held."""
    heads = [await anext(source, None) for source in sources]
    while any(head is not None for head in heads):
        _, at = min((head.time_ns, number) for number, head in enumerate(heads) if head is not None)
        head = heads[at]
        assert head is not None
        writers[at].write(head)
        heads[at] = await anext(sources[at], None)
    for writer in writers:
        writer.end()


class Lines:
    """Writes whole lines of one container, so that those of several do not mix."""

    def __init__(self, name: str, *, timestamps: bool) -> None:
        self._before = f"{name} | ".encode() if name else b""
        self._timestamps = timestamps
        self._rest: dict[str, bytes] = {}

    def write(self, record: LogRecord) -> None:
        """Write the lines that end in `record`; what is left waits for its end."""
        data = self._rest.pop(record.stream, b"") + record.data
        *whole, rest = data.split(b"\n")
        if len(rest) > _LONGEST_LINE:
            whole, rest = [*whole, rest], b""
        for line in whole:
            self._line(record.stream, line, record.time_ns)
        if rest:
            self._rest[record.stream] = rest

    def end(self) -> None:
        """Write what never ended."""
        for stream, rest in self._rest.items():
            self._line(stream, rest, time.time_ns())
        self._rest.clear()

    def _line(self, stream: str, line: bytes, time_ns: int) -> None:
        from firkin.cli.ago import rfc3339

        stamp = f"{rfc3339(time_ns)} ".encode() if self._timestamps else b""
        target = sys.stderr.buffer if stream == "stderr" else sys.stdout.buffer
        target.write(self._before + stamp + line + b"\n")
        target.flush()
