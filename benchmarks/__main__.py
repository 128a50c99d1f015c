"""`./dev bench`: every group, one table. `--only start,exec` chooses, `--json FILE` keeps the figures."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
from pathlib import Path

from benchmarks.place import open_place
from benchmarks.table import Row, draw

GROUPS = {
    "cli": "benchmarks.cli_start",
    "start": "benchmarks.start",
    "exec": "benchmarks.exec",
    "pull": "benchmarks.pull",
    "disk": "benchmarks.rootfs_bench",
    "memory": "benchmarks.memory",
}


def main() -> int:
    arguments = parse(sys.argv[1:])
    rows: list[Row] = []
    with open_place(arguments.rounds) as place:
        for name in arguments.only:
            print(f"== {name}", file=sys.stderr, flush=True)
            rows += importlib.import_module(GROUPS[name]).rows(place)
    print(draw(rows))
    if arguments.json:
        document = {"host": platform.uname()._asdict(), "rows": [row.as_json() for row in rows]}
        Path(arguments.json).write_text(json.dumps(document, indent=1) + "\n")
    return 0


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="times that each contender is run (10)")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--only", default=",".join(GROUPS), help=f"groups, of {','.join(GROUPS)}")
    arguments = parser.parse_args(words)
    arguments.only = arguments.only.split(",")
    if unknown := set(arguments.only) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
