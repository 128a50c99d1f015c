"""The programs in examples/, run as their reader would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from firkin.pytest.home import Home
from tests.docs.examples import matches

EXAMPLES = Path(__file__).parents[2] / "examples"
SAID = {
    "hello.py": """
        Debian 12...
        one
        three
        two
        Output(status=ExitStatus(code=2, ...), stdout='', stderr=...No such file...)
    """,
    "grade.py": """
        ada right
        bob right
        eve too slow
    """,
    "many.py": "[0, 1, 4]",
    "pool.py": """
        eno
        owt
        eerht
        ... were ready
    """,
}


def test_every_example_is_known_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SAID)


@pytest.mark.machine
@pytest.mark.slow
@pytest.mark.parametrize("name", SAID)
def test_an_example_says_what_it_should(name: str, stocked: Home) -> None:
    program = [sys.executable, str(EXAMPLES / name)]
    environ = stocked.environ() | {"PATH": os.environ["PATH"]}
    ended = subprocess.run(
        program, cwd=stocked.work_dir, env=environ, capture_output=True, text=True, timeout=240
    )
    assert ended.returncode == 0, ended.stderr
    said = "\n".join(line.strip() for line in SAID[name].strip().splitlines())
    assert matches(said, ended.stdout), ended.stdout + ended.stderr
