"""Rows of the table: a goal, the floor, ours, and by how much it was missed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.measure import Sample

_FACTORS = {"s": 1.0, "ms": 1000.0, "MB": 1e-6}


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `limit` is the most that ours may be, in the unit of the samples (seconds or bytes)."""

    what: str
    ours: Sample
    unit: str
    goal: str = ""
    limit: float | None = None
    floor: Sample | None = None
    floor_name: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.floor is None else self.ours.median / self.floor.median

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        excess = self.ours.median - self.limit
        if excess <= 0:
            return "met"
        return f"missed by {_amount(excess, self.unit)} ({100 * excess / self.limit:.0f}%)"

    def cells(self) -> tuple[str, ...]:
        return (
            self.what,
            self.goal,
            "" if self.floor is None else f"{_amount(self.floor.median, self.unit)} {self.floor_name}",
            _amount(self.ours.median, self.unit),
            _amount(self.ours.p95, self.unit),
            str(self.ours.n),
            "" if self.ratio is None else f"{self.ratio:.2f}",
            self.verdict,
        )

    def as_json(self) -> dict[str, object]:
        return {
            "what": self.what,
            "unit": "bytes" if self.unit == "MB" else "s",
            "goal": self.goal,
            "limit": self.limit,
            "floor": None if self.floor is None else {"name": self.floor_name, **_figures(self.floor)},
            "ours": _figures(self.ours),
            "ratio": self.ratio,
            "verdict": self.verdict,
        }


HEADINGS = ("", "goal", "floor or peer", "ours", "p95", "n", "ratio", "verdict")


def draw(rows: Iterable[Row]) -> str:
    """The table as text, columns aligned; names to the left, figures to the right."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(_line(cells, widths) for cells in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = {0, 1, 2, 7}
    padded = [
        cell.ljust(width) if column in left else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def _amount(value: float, unit: str) -> str:
    scaled = value * _FACTORS[unit]
    return f"{scaled:.3f} {unit}" if unit == "s" else f"{scaled:.1f} {unit}"


def _figures(sample: Sample) -> dict[str, object]:
    return {"median": sample.median, "p95": sample.p95, "n": sample.n, "values": sample.values}
