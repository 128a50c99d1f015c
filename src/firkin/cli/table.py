"""Tables as `docker ps` prints them: columns of at least ten characters with three spaces between.

A cell is one line of printable text, whatever it was before: rows hold words of images and guests.
"""

from __future__ import annotations

from collections.abc import Sequence

from firkin.cli.report import printable

_LEAST_WIDTH, _GAP = 10, 3


def table(rows: Sequence[Sequence[str]]) -> str:
    """`rows` as aligned lines, the headings first. The last cell of a line is as long as it is."""
    lines = [[_cell(cell) for cell in row] for row in rows]
    widths: list[int] = []
    for line in lines:
        widths += [_LEAST_WIDTH] * (len(line) - len(widths))
        for index, cell in enumerate(line[:-1]):
            widths[index] = max(widths[index], len(cell) + _GAP)
    return "".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells[:-1], widths, strict=False)]
    return "".join([*padded, *cells[-1:]]).rstrip() + "\n"


def _cell(text: str) -> str:
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")
