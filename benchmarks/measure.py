"""Samples of the same thing done by several contenders in turns."""

from __future__ import annotations

import math
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Measures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that is done over and over. `once` returns what one time cost, by the name of the measure."""

    name: str
    once: Callable[[], Measures]


@dataclass(frozen=True, slots=True)
class Sample:
    values: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        """The smallest value that 95% do not exceed: with few values, the largest."""
        return sorted(self.values)[math.ceil(0.95 * self.n) - 1]


Samples = dict[str, dict[str, Sample]]
"""Contender's name, then the measure's."""


def take_turns(contenders: Sequence[Contender], rounds: int, warmups: int = 1) -> Samples:
    """`rounds` times of each, in turns, after `warmups` that do not count."""
    taken: dict[str, dict[str, list[float]]] = {contender.name: {} for contender in contenders}
    for number in range(-warmups, rounds):
        for contender in contenders:
            for measure, value in contender.once().items():
                if number >= 0:
                    taken[contender.name].setdefault(measure, []).append(value)
    return {
        name: {measure: Sample(tuple(values)) for measure, values in measures.items()}
        for name, measures in taken.items()
    }


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
