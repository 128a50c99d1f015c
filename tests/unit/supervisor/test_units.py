"""The units that `firkin setup` writes, as a user's systemd understands them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from firkin.host.asker import Asker
from firkin.host.remedies import plan
from firkin.host.written import Written
from firkin.pytest.home import Home
from firkin.settings import Settings
from tests.unit.supervisor.user_manager import MANAGER

_ROOT = Path(__file__).parents[3]


@pytest.mark.root
@pytest.mark.skipif(not (MANAGER and shutil.which("systemctl")), reason="no systemd")
def test_systemd_starts_the_supervisor_and_keeps_its_socket(home: Home, settings: Settings) -> None:
    planned = plan(Asker(settings=settings, environ=home.environ()), [], systemd=True)
    Written(home.root / "setup.json").write(planned.files)
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    ended = subprocess.run(
        [*namespaces, sys.executable, "-m", "tests.unit.supervisor.user_manager"],
        env=os.environ | home.environ(),
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    if why := told.get("skip"):
        pytest.skip(why)
    assert told == {
        "started at boot": True,
        "the socket stays": ["active", True],
        "starts for who asks": True,
        "starts after a crash": True,
        "outlives the socket": True,
        "without the socket it is a client's": ["inactive", 0],
        "the client's goes on until somebody asks": True,
        "gives way to systemd's": True,
        "mode": "600",
        "a machine outlives the service": True,
    }
