"""A wheel is all that a user needs: no compiler, no checkout."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from firkin.pytest.home import Home
from tests.docs.examples import blocks
from tests.support.wheel import CHECKOUT

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


@pytest.mark.machine
@pytest.mark.slow
def test_the_examples_of_the_plugin_s_page_are_tests_where_the_wheel_is_installed(
    installed: Path, stocked: Home
) -> None:
    page = (CHECKOUT / "docs/reference/pytest.md").read_text()
    for number, block in enumerate(block for block in blocks(page) if block.language == "python"):
        (stocked.work_dir / f"test_{number}.py").write_text(block.text)
    ended = subprocess.run(
        [installed / "python", "-m", "pytest", "--strict-markers"],
        env=stocked.environ() | {"CI": "true"},
        cwd=stocked.work_dir,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "5 passed" in ended.stdout
    assert list(stocked.root.glob("fk*")) == [], "its session left its directory"
