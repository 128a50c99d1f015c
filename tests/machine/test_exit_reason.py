"""Why something ended, for want of memory or by its host: in the status, on record, and said by `run`."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

import firkin as api
from firkin.pytest.command import Command
from firkin.pytest.home import Home

pytestmark = pytest.mark.machine

HOG = ["tail", "/dev/zero"]
"""Reads for the end of what has none, and keeps it all."""


def test_who_ended_for_want_of_memory_is_told_from_who_did_not(stocked: Home, settings: Any) -> None:
    with (
        api.Engine(settings) as engine,
        engine.run("busybox", ["sleep", "1000"], memory="96m", network="none") as box,
    ):

        def ended(*command: str) -> api.ExitStatus:
            return box.exec(command).output(timeout=120).status

        assert ended("sh", "-c", "exit 3") == api.ExitStatus(code=3)
        with box.exec(["sleep", "1000"]) as bystander:
            assert ended(*HOG) == api.ExitStatus(signal=9, why="oom")
            failed = ended("sh", "-c", "tail /dev/zero; exit 3")
            assert (failed.code, failed.why) == (3, "oom")
            assert str(failed) == "exit status 3, out of memory"
            bystander.kill()
            assert bystander.wait(60) == api.ExitStatus(signal=9)  # by us
        assert ended("sh", "-c", "exit 3") == api.ExitStatus(code=3)
        assert ended("sh", "-c", "kill -9 $$") == api.ExitStatus(signal=9)
        assert ended("true") == api.ExitStatus(code=0)


def test_it_is_said_and_put_on_record(firkin: Command, stocked: Home, settings: Any) -> None:
    ran = firkin("run", "--name", "hog", "-m", "96m", "--network", "none", "busybox", *HOG)
    assert ran.status == 137
    assert "container hog ran out of memory" in ran.stderr
    assert "give it more" in ran.stderr
    state = json.loads(firkin("inspect", "hog", check=True).stdout)[0]["State"]
    assert (state["OOMKilled"], state["ExitReason"], state["ExitCode"]) == (True, "oom", 137)
    told = firkin("events", "--since", "1h", "--until", "0s", "--filter", "container=hog", "--format",
                  "{{.Action}}", check=True).stdout.split()  # fmt: skip
    assert told == ["create", "start", "oom", "die"]

    firkin("run", "-d", "--name", "shot", "--network", "none", "busybox", "sleep", "1000", check=True)
    vmm = json.loads(firkin("inspect", "shot", check=True).stdout)[0]["State"]["Pid"]
    os.kill(vmm, signal.SIGKILL)
    assert firkin("wait", "shot").stdout == "255\n"
    state = json.loads(firkin("inspect", "shot", check=True).stdout)[0]["State"]
    assert (state["OOMKilled"], state["ExitReason"], state["ExitCode"]) == (False, "host", 255)
    assert "QEMU was killed by SIGKILL" in state["Error"]
    firkin("rm", "hog", "shot", check=True)
