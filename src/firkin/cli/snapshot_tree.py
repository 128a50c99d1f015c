"""`firkin snapshot tree`: which snapshot was made upon which, and where the containers are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.paths import Paths
    from firkin.snapshot.record import Snapshot


@click.command("tree")
def command() -> int:
    """Show which snapshot was made upon which.

    Below each stand the snapshots and, in brackets, the containers that go on from it.
    """
    from firkin.cli.report import say
    from firkin.errors import FirkinError
    from firkin.settings import Settings
    from firkin.snapshot.record import snapshots

    paths = Settings.load().paths
    problems: list[FirkinError] = []
    found = snapshots(paths, unreadable=problems.append)
    click.echo("".join(f"{line}\n" for line in tree(found, standing(paths))), nl=False)
    for problem in problems:
        say(str(problem), hint=problem.hint)
    return 125 if problems else 0


def tree(found: Sequence[Snapshot], containers: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The lines of the tree of `found`, the oldest first; `containers` are the names at each id."""
    known = {each.id for each in found}
    below: dict[str, list[Snapshot]] = {}
    for each in sorted(found, key=lambda each: each.created_ns):
        below.setdefault(each.parent if each.parent in known else "", []).append(each)
    for root in below.get("", []):
        yield from _branch(root, below, containers, "", "")


def standing(paths: Paths) -> dict[str, list[str]]:
    """The names of the containers whose disk stands on a snapshot, by its id."""
    from firkin.container.record import records
    from firkin.errors import ContainerNotFound, Corrupt

    found: dict[str, list[str]] = {}
    for record in records(paths):
        try:
            name, parent = record.spec().name, record.disk().parent
        except (ContainerNotFound, Corrupt):
            continue  # removed since, or listed as broken by `ps`
        if parent:
            found.setdefault(parent, []).append(name)
    return {parent: sorted(names) for parent, names in found.items()}


def _branch(
    snapshot: Snapshot,
    below: Mapping[str, Sequence[Snapshot]],
    containers: Mapping[str, Sequence[str]],
    head: str,
    indent: str,
) -> Iterator[str]:
    yield f"{head}{snapshot.name}"
    children = below.get(snapshot.id, ())
    names = containers.get(snapshot.id, ())
    last = len(names) + len(children) - 1
    for number, name in enumerate(names):
        yield f"{indent}{'└── ' if number == last else '├── '}[{name}]"
    for number, child in enumerate(children, len(names)):
        head, more = ("└── ", "    ") if number == last else ("├── ", "│   ")
        yield from _branch(child, below, containers, indent + head, indent + more)
