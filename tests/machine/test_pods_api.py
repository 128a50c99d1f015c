"""Pods from Python, and what is left of one whose program died."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

import firkin
from firkin.container.record import records
from firkin.pytest.home import Home
from firkin.settings import Settings

pytestmark = pytest.mark.machine

MAKES_ONE = """
import firkin, sys
with firkin.Engine() as engine, engine.pod(name="mine") as pod:
    pod.run("busybox", ["sleep", "1000"])
    print("up", flush=True)
    sys.stdin.read()
"""


async def test_a_pod_of_a_block_goes_with_it(stocked: Home, settings: Settings) -> None:
    async with firkin.AsyncEngine(settings) as engine:
        async with engine.pod(name="mine", volumes=["shared:/shared"], memory="128m") as pod:
            assert pod.state == "ready"
            writer = await pod.run("busybox", ["sh", "-c", "echo written >/shared/file; exec sleep 1000"])
            said = await pod.run(
                "busybox", ["sh", "-c", "until cat /shared/file; do :; done 2>/dev/null"]
            ).output(text=True)
            assert said.stdout == "written\n"
            assert pod.state == "running"
            assert (await pod.containers())[0].name == writer.name
            assert [row.args for row in (await pod.top())[writer.name]] == [("sleep", "1000")]
            assert (await pod.stats())[writer.name].pids.current == 1
            await pod.stop(0)
            assert pod.state == "stopped"
        assert await engine.pods() == []
        with pytest.raises(firkin.PodNotFound):
            await engine.find_pod("mine")
    assert list(records(settings.paths)) == []


def test_a_pod_of_a_program_goes_with_it(stocked: Home, settings: Settings) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MAKES_ONE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=stocked.environ(),
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "up\n"
        program.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while list(records(settings.paths)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
