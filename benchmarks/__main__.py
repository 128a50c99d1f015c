"""`./dev bench`: every group, one table. `--only start,exec` chooses, `--json FILE` keeps the figures,
`--plot DIR` the charts.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.chart import Chart
from benchmarks.measure import Sample, told
from benchmarks.place import Place, open_place
from benchmarks.table import Row, draw

GROUPS = {
    "cli": "benchmarks.cli_start",
    "start": "benchmarks.start",
    "restore": "benchmarks.restore",
    "exec": "benchmarks.exec",
    "namespace": "benchmarks.namespace",
    "pod": "benchmarks.pod",
    "copy": "benchmarks.copy",
    "stdio": "benchmarks.stdio",
    "shares": "benchmarks.shares",
    "network": "benchmarks.network",
    "save": "benchmarks.save",
    "forks": "benchmarks.forks",
    "pool": "benchmarks.pool",
    "pull": "benchmarks.pull",
    "disk": "benchmarks.rootfs_bench",
    "memory": "benchmarks.memory",
}


def main() -> int:
    arguments = parse(sys.argv[1:])
    results: list[Row | Chart] = []
    with open_place(arguments.rounds) as place:
        for name in arguments.only:
            print(f"== {name}", file=sys.stderr, flush=True)
            results += measured(name, place)
    rows = [each for each in results if isinstance(each, Row)]
    charts = [each for each in results if isinstance(each, Chart)]
    print(draw(rows))
    for chart in charts:
        print(f"\n{chart.text()}")
        if arguments.plot:
            print(f"\n{chart.save(Path(arguments.plot))}")
    if arguments.json:
        document = {
            "host": platform.uname()._asdict(),
            "rows": [row.as_json() for row in rows],
            "charts": [chart.as_json() for chart in charts],
        }
        Path(arguments.json).write_text(json.dumps(document, indent=1) + "\n")
    return 0


def measured(name: str, place: Place) -> Iterator[Row | Chart]:
    """What a group gives, up to where it fails: then a row says so, and the other groups have their turn."""
    try:
        yield from importlib.import_module(GROUPS[name]).rows(place)
    except Exception as error:  # whoever reads the table sees it
        yield Row(f"group {name}", Sample((), told(error, name)), "")


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="times that each contender is run (10)")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", metavar="DIR", help="write the charts there, as PNG")
    parser.add_argument("--only", default=",".join(GROUPS), help=f"groups, of {','.join(GROUPS)}")
    arguments = parser.parse_args(words)
    arguments.only = arguments.only.split(",")
    if unknown := set(arguments.only) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
