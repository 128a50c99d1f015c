"""Examples in Markdown: what a page shows typed and answered, and whether that is so.

    ```console        `$ ` begins a command, `> ` continues it; what follows is its output, stdout and stderr
    ```python         a whole program; its output stands in a ```text block right behind it, when there is one

`...` in an expected output stands for anything, a line of its own for any lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, and the line where the fence stands."""

    language: str
    text: str
    line: int
    end: int


@dataclass(frozen=True, slots=True)
class Typed:
    """A command as it is typed, and what should come of it."""

    command: str
    expected: str
    line: int


def blocks(text: str) -> list[Block]:
    return [
        Block(
            found[1], found[2], text.count("\n", 0, found.start()) + 1, text.count("\n", 0, found.end()) + 1
        )
        for found in _FENCE.finditer(text)
    ]


def typed(block: Block) -> Iterator[Typed]:
    """The commands of a console block, in order."""
    command, expected, begun = "", [], 0
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if line.startswith("$ "):
            if command:
                yield Typed(command, "\n".join(expected), begun)
            command, expected, begun = line[2:], [], number
        elif line.startswith("> ") and not expected:
            command += "\n" + line[2:]
        else:
            expected.append(line)
    if command:
        yield Typed(command, "\n".join(expected), begun)


def programs(page: list[Block]) -> Iterator[tuple[Block, str | None]]:
    """Each Python block, with the output that the page promises, or None."""
    for number, block in enumerate(page):
        if block.language == "python":
            following = page[number + 1] if number + 1 < len(page) else None
            promised = (
                following is not None and following.language == "text" and following.line <= block.end + 2
            )
            yield block, following.text if promised and following is not None else None


def matches(expected: str, actual: str) -> bool:
    """Whether `actual` is what `expected` promises; blanks at line ends and lines around do not count."""
    pattern = ".*".join(re.escape(part) for part in _plain(expected).split("..."))
    return re.fullmatch(pattern, _plain(actual), re.DOTALL) is not None


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.replace("\r", "").strip().splitlines())


def pages(root: Path) -> list[Path]:
    """Every page that may hold examples."""
    return [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]
