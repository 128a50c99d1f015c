"""Build the wheel of this checkout, as a release would, and install it where everybody can run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
_NOBODY = 65534


def build_wheel(directory: Path) -> None:
    """A wheel in `directory`."""
    _pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(directory), str(CHECKOUT))


def install(wheel: Path, environment_dir: Path) -> None:
    """A new virtual environment with the wheel, its dependencies and its extra for pytest in it."""
    command = [_python_for_all(), "-m", "venv", str(environment_dir)]
    subprocess.run(command, check=True, capture_output=True)
    _pip(str(environment_dir / "bin" / "python"), "install", f"{wheel}[pytest]")


def _python_for_all() -> str:
    """An interpreter that every user can run and make environments with; root's own may be out of sight."""
    nobody = _NOBODY if os.geteuid() == 0 else None
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        probe = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
        try:
            ended = subprocess.run([python, "-c", probe], user=nobody, capture_output=True, cwd="/")
        except OSError:
            continue
        if ended.returncode == 0:
            return python
    raise AssertionError("no Python that every user can run: apt install python3-venv")


def _pip(python: str, *args: str) -> None:
    """pip may use its cache of the one who runs the tests, whatever the home of this test is."""
    from pwd import getpwuid

    environ = {**os.environ, "HOME": getpwuid(os.getuid()).pw_dir}
    for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "PIP_REQUIRE_VIRTUALENV"):
        environ.pop(variable, None)
    command = [python, "-m", "pip", "-q", "--disable-pip-version-check", *args]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
