"""Rows of the table: a goal, the floor, ours, and by how much it was missed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.measure import Sample

_FACTORS = {"s": 1.0, "ms": 1000.0, "MB": 1e-6, "": 1.0}
_MEASURED_IN = {"s": "s", "ms": "s", "MB": "bytes", "": "count"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `limit` is the most that ours may be, in the unit of the samples: seconds, bytes, or ones."""

    what: str
    ours: Sample
    unit: str
    goal: str = ""
    limit: float | None = None
    floor: Sample | None = None
    floor_name: str = ""

    @property
    def ratio(self) -> float | None:
        """None where one of the two is missing, or failed."""
        if self.floor is None or not self.floor.n or not self.ours.n:
            return None
        return self.ours.median / self.floor.median

    @property
    def verdict(self) -> str:
        if self.ours.failure:
            return f"failed: {self.ours.failure}"
        if self.limit is None or math.isnan(self.limit):
            failed = self.floor is not None and self.floor.failure
            return f"{self.floor_name} failed: {failed}" if failed else ""
        excess = self.ours.median - self.limit
        if excess <= 0:
            return "met"
        part = f" ({100 * excess / self.limit:.0f}%)" if self.limit else ""
        return f"missed by {_amount(excess, self.unit)}{part}"

    def cells(self) -> tuple[str, ...]:
        return (
            self.what,
            self.goal,
            self._beside(),
            _amount(self.ours.median, self.unit),
            _amount(self.ours.p95, self.unit),
            str(self.ours.n),
            "" if self.ratio is None else f"{self.ratio:.2f}",
            self.verdict,
        )

    def _beside(self) -> str:
        if self.floor is None:
            return ""
        amount = "failed:" if self.floor.failure else _amount(self.floor.median, self.unit)
        return f"{amount} {self.floor_name}"

    def as_json(self) -> dict[str, object]:
        return {
            "what": self.what,
            "unit": _MEASURED_IN[self.unit],
            "goal": self.goal,
            "limit": _number(self.limit),
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
    if math.isnan(value):
        return "-"
    if not unit:
        return f"{scaled:g}"
    return f"{scaled:.3f} {unit}" if unit == "s" else f"{scaled:.1f} {unit}"


def _figures(sample: Sample) -> dict[str, object]:
    figures = {"median": _number(sample.median), "p95": _number(sample.p95)}
    return figures | {"n": sample.n, "values": sample.values, "failure": sample.failure}


def _number(value: float | None) -> float | None:
    """JSON has no NaN."""
    return None if value is None or math.isnan(value) else value
