"""Build the wheel of this checkout, as a release would, and install it where others can read it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def build_wheel(directory: Path) -> None:
    """A wheel in `directory`."""
    _pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(directory), str(CHECKOUT))


def install(wheel: Path, environment_dir: Path, python: str) -> Path:
    """A new virtual environment with the wheel and its dependencies in it; returns its `bin`."""
    subprocess.run([python, "-m", "venv", str(environment_dir)], check=True, capture_output=True)
    binaries = environment_dir / "bin"
    _pip(str(binaries / "python"), "install", str(wheel))
    return binaries


def _pip(python: str, *args: str) -> None:
    """pip may use its cache of the one who runs the tests, whatever the home of this test is."""
    from pwd import getpwuid

    environ = {**os.environ, "HOME": getpwuid(os.getuid()).pw_dir}
    for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "PIP_REQUIRE_VIRTUALENV"):
        environ.pop(variable, None)
    command = [python, "-m", "pip", "-q", "--disable-pip-version-check", *args]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
