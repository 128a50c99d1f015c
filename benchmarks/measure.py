"""Samples of the same thing done by several contenders in turns."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Measures = dict[str, float]
_TOLD = 100


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that is done over and over. `once` returns what one time cost, by the name of the measure."""

    name: str
    once: Callable[[], Measures]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured; nothing, and why not, where the contender failed."""

    values: tuple[float, ...]
    failure: str = ""

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def median(self) -> float:
        """NaN where there is nothing."""
        return statistics.median(self.values) if self.values else math.nan

    @property
    def p95(self) -> float:
        """The smallest value that 95% do not exceed: with few values, the largest. NaN where there is
        nothing.
        """
        return sorted(self.values)[math.ceil(0.95 * self.n) - 1] if self.values else math.nan


class Taken(dict[str, Sample]):
    """The samples of one contender, by the name of the measure. All of one that failed say why."""

    def __init__(self, samples: Mapping[str, Sample], failure: str = "") -> None:
        super().__init__({} if failure else samples)
        self._failure = failure

    def __missing__(self, measure: str) -> Sample:
        if not self._failure:
            raise KeyError(measure)
        return Sample((), self._failure)


Samples = dict[str, Taken]
"""By the contender's name."""


def take_turns(contenders: Sequence[Contender], rounds: int, warmups: int = 1) -> Samples:
    """`rounds` times of each, in turns, after `warmups` that do not count.

    A contender that fails has no more turns; the others go on.
    """
    taken: dict[str, dict[str, list[float]]] = {contender.name: {} for contender in contenders}
    failures: dict[str, str] = {}
    for number in range(-warmups, rounds):
        for contender in contenders:
            if contender.name in failures:
                continue
            try:
                measures = contender.once()
            except Exception as error:  # whoever reads the table sees it
                failures[contender.name] = told(error, contender.name)
                continue
            for measure, value in measures.items():
                if number >= 0:
                    taken[contender.name].setdefault(measure, []).append(value)
    return {
        name: Taken(
            {measure: Sample(tuple(values)) for measure, values in measures.items()}, failures.get(name, "")
        )
        for name, measures in taken.items()
    }


def told(error: Exception, who: str) -> str:
    """The error in a line for the table; where it comes from goes to stderr."""
    print(f"{who} failed:", *traceback.format_exception(error, limit=-2), file=sys.stderr, flush=True)
    return f"{type(error).__name__}: {error}".partition("\n")[0][:_TOLD]


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work()` takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def command_times(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Measures:
    """Seconds from before the fork to the command's first byte on stdout (if it writes one) and to its end.

    Raises RuntimeError with what it said when it fails.
    """
    begin = time.perf_counter()
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(argv, env=env, bufsize=0, stdin=null, stdout=pipe, stderr=pipe) as child:
        assert child.stdout is not None
        first = child.stdout.read(1)
        first_byte = time.perf_counter() - begin
        output, errors = child.communicate()
    whole = time.perf_counter() - begin
    if child.returncode != 0:
        said = (first + output + errors).decode(errors="replace")
        raise RuntimeError(f"{' '.join(argv)}: status {child.returncode}: {said}")
    return {"whole": whole} | ({"first byte": first_byte} if first else {})
