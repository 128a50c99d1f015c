"""What a failure shows of its test's containers: the ends of their logs and consoles, and the supervisor's.

It is bounded: so many containers, those that wrote last, and so many lines of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firkin.pytest.home import Home
from firkin.pytest.lodging import HOMES, LOGS

MOST_CONTAINERS = 4
MOST_LINES = 30
_TAIL_BYTES = 16 << 10


def sections(item: pytest.Item) -> list[tuple[str, str]]:
    """Title and text of each."""
    from firkin.cli.report import printable

    found = [section for node in item.listchain() for section in _of_node(node)]
    return [(f"firkin: {title}", printable(text)) for title, text in found if text.strip()]


def _of_node(node: Any) -> Iterator[tuple[str, str]]:
    for home in node.stash.get(HOMES, []):
        yield from _of_home(home)
    for title, path in node.stash.get(LOGS, []):
        yield title, _end(path)


def _of_home(home: Home) -> Iterator[tuple[str, str]]:
    from firkin.container.record import records
    from firkin.errors import FirkinError
    from firkin.paths import Paths

    paths = Paths(home.data_dir, home.run_dir)
    latest = sorted(records(paths), key=lambda record: _written_ns(record.log_path), reverse=True)
    for record in latest[:MOST_CONTAINERS]:
        try:
            name = record.spec().name
            yield f"log of container {name}", _log(record.log_path)
            yield f"console of container {name}", _end(record.dir / "console.log")
        except FirkinError as error:  # whoever reads the report sees that, too
            yield f"container {record.id[:12]}", str(error)
    yield "supervisor.log", _end(paths.run / "supervisor.log")


def _log(path: Path) -> str:
    from firkin.container.logs import read

    return b"".join(record.data for record in read(path, tail=MOST_LINES)).decode(errors="replace")


def _end(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return "\n".join(file.read(_TAIL_BYTES).decode(errors="replace").splitlines()[-MOST_LINES:])
    except OSError:
        return ""


def _written_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
