"""README's first command, as a newcomer types it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.machine
@pytest.mark.slow
def test_the_demo_shows_the_main_job_and_ends_well() -> None:
    ended = subprocess.run(
        [ROOT / "dev", "demo"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    for shown in ("Debian GNU/Linux", "exit status 7", "fork  ", "tick 1", "one\nthree\ntwo\n"):
        assert shown in ended.stdout
