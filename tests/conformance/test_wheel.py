"""A wheel is all that a user needs: no compiler, no checkout."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.home import Home

AGENT = "firkin/machine/data/agent"


def test_a_wheel_carries_the_agent_and_says_for_which_machines(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        agent = archive.read(AGENT)
        mode = archive.getinfo(AGENT).external_attr >> 16
    assert agent.startswith(b"\x7fELF")
    assert mode & 0o111
    assert "-any" not in wheel.name, "a wheel with a program in it is not for any machine"


def test_the_agent_in_a_wheel_needs_no_library(wheel: Path, home: Home) -> None:
    with zipfile.ZipFile(wheel) as archive:
        path = archive.extract(AGENT, home.work_dir)
    headers = subprocess.run(["readelf", "-lW", path], capture_output=True, text=True, check=True).stdout
    assert "INTERP" not in headers


@pytest.mark.slow
def test_firkin_works_from_a_wheel_where_there_is_no_compiler(installed: Path, home: Home) -> None:
    environ = home.environ() | {"PATH": str(installed)}
    ended = subprocess.run(
        [installed / "firkin", "version"],
        env=environ,
        cwd=home.work_dir,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("firkin")
