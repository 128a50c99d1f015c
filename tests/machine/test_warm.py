"""Templates from a user's side: made ahead of time, used by runs, listed, and removed again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import firkin as api
from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.settings import Settings

pytestmark = pytest.mark.machine

SHAPE = ("-m", "97m")
"""Of no other test: templates are shared by all of them."""
HEAVY = (
    "asyncio", "ssl", "logging", "subprocess", "concurrent.futures", "shutil", "random", "tempfile",
    "json", "rich", "aiohttp", "qemu", "firkin.engine.engine", "firkin.engine.owner", "firkin.agent",
    "firkin.wire.messages", "firkin.cli.foreground", "firkin.registry", "firkin.process.output",
    "firkin.machine.qemu.machine",
)  # fmt: skip
"""What talks to a guest, a registry or a person: a run loads it while its VMM starts, or never."""
UNTIL_THE_VMM = f"""
import sys
from firkin.linux import fork

def start(launch):
    raise OSError(0, " ".join(sorted(set({HEAVY!r}) & set(sys.modules))))

fork.start = start
from firkin.cli.main import invoke
sys.exit(invoke(sys.argv[1:]))
"""


def listed(firkin: Command) -> dict[str, dict[str, object]]:
    out = firkin("warm", "--list", "--format", "json", check=True).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    return {row["ID"]: row for row in rows}


def test_a_template_that_is_made_ahead_is_what_a_run_is_forked_from(busybox: Command) -> None:
    made = busybox("warm", *SHAPE, check=True)
    key = made.stdout.split()[0]
    assert "made in" in made.stdout
    assert "preparing machines of this size, once" in made.stderr
    again = busybox("warm", *SHAPE, check=True)
    assert (again.stdout.split()[0], "ready already" in again.stdout) == (key, True)
    assert (listed(busybox)[key]["CPUs"], listed(busybox)[key]["Usable"]) == (1, "yes")

    ran = busybox("run", "--rm", "--timing", *SHAPE, "busybox", "echo", "hi", check=True)
    assert ran.stdout == "hi\n"
    assert "fork" in ran.stderr
    for label in ("template made", "kernel", "preparing"):
        assert label not in ran.stderr

    assert "gave back" in busybox("warm", "--prune", check=True).stdout
    assert key in listed(busybox)


def test_a_cold_start_says_why_and_the_same_run_without_that_reason_is_a_fork(busybox: Command) -> None:
    cold = busybox("run", "--rm", "--timing", "busybox", "true", check=True, FIRKIN_TEMPLATES="0")
    assert "booted a kernel, since templates are turned off by the settings" in cold.stderr
    assert "booted a kernel" not in busybox("run", "--rm", "--timing", "busybox", "true", check=True).stderr
    refused = busybox("warm", FIRKIN_TEMPLATES="0")
    assert (refused.status, "templates are turned off" in refused.stderr) == (125, True)


def test_nothing_that_talks_is_loaded_before_the_vmm_starts(busybox: Command, home: Home) -> None:
    busybox("run", "--rm", "busybox", "true", check=True)  # the disk and the template are there now
    begun = subprocess.run(
        [sys.executable, "-c", UNTIL_THE_VMM, "run", "--rm", "busybox", "true"],
        env=busybox.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "cannot start machine" in begun.stderr
    assert sorted({*HEAVY} & {*begun.stderr.replace(":", " ").split()}) == []
    assert busybox("ps", "-aq", check=True).stdout == ""


def test_python_makes_them_too(home: Home) -> None:
    with api.Engine(Settings.load(home.environ())) as engine:
        found = engine.warm(memory="97m")
        assert (found.memory_bytes, found.cpus, found.network, found.usable) == (97 << 20, 1, "user", True)
        assert engine.warm(memory="97m").key == found.key
