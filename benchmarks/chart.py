"""Chart: what grows with a number, as bars in the terminal and as a PNG."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

_WIDTH = 50
_BAR, _HALF = "█", "▌"


@dataclass(frozen=True, slots=True)
class Series:
    """One curve: a value for each of the chart's xs, already in `unit`."""

    name: str
    unit: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over the same xs, each on a scale of its own, from 0 on. `name` is that of the file, too."""

    name: str
    x_name: str
    xs: tuple[int, ...]
    series: tuple[Series, ...]

    def text(self) -> str:
        """Bars, one block for each curve."""
        return "\n\n".join("\n".join(self._bars(each)) for each in self.series)

    def save(self, directory: Path) -> Path:
        """Write `name`.png there. Raises ImportError without matplotlib, OSError."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5.0 * len(self.series), 4.0), layout="constrained")
        for axes, each in zip(
            figure.subplots(1, len(self.series), squeeze=False)[0], self.series, strict=True
        ):
            axes.plot(self.xs, each.values, marker="o")
            axes.set(title=each.name, xlabel=self.x_name, ylabel=each.unit, xlim=(0, None), ylim=(0, None))
            axes.grid(alpha=0.3)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.name}.png"
        figure.savefig(path, dpi=120)
        return path

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    def _bars(self, series: Series) -> list[str]:
        most = max(series.values)
        figures = [f"{value:.4g} {series.unit}" for value in series.values]
        left, right = max(len(str(x)) for x in self.xs), max(map(len, figures))
        lines = [f"{series.name}, by {self.x_name}"]
        for x, value, figure in zip(self.xs, series.values, figures, strict=True):
            lines.append(f"{x:>{left}}  {figure:>{right}}  {_bar(value / most if most else 0.0)}".rstrip())
        return lines


def _bar(part: float) -> str:
    halves = round(2 * _WIDTH * part)
    return _BAR * (halves // 2) + _HALF * (halves % 2)
