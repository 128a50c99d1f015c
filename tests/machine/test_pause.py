"""A paused container stands still, whoever dies, and goes on with the right time."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

import pytest

from firkin.container import record
from firkin.container.record import Running
from firkin.engine.engine import Engine
from firkin.engine.options import ExecOptions
from firkin.engine.words import run_options
from firkin.errors import StorageFull, WrongState
from firkin.linux.unix_socket import connect
from firkin.process.output import output
from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.pytest.leaks import SUPERVISOR, processes_of, wait_until_gone
from firkin.settings import Settings

pytestmark = pytest.mark.machine

COUNTS = "trap 'exit 7' TERM; i=0; while :; do i=$((i+1)); echo $i; echo $i > /count; sleep 0.2; done"


@pytest.fixture
def busybox(firkin: Command, stocked: Home) -> Command:
    firkin("run", "-d", "--name", "box", "busybox", "sh", "-c", COUNTS, check=True)
    return firkin


def kill_supervisor(home: Home) -> None:
    (pid,) = (found.pid for found in processes_of(str(home.root)) if SUPERVISOR in found.command)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone([pid], 30)


def uptime_s(firkin: Command) -> float:
    """How long the guest has run, by its own count."""
    return float(firkin("exec", "box", "cat", "/proc/uptime", check=True).stdout.split()[0])


def counts_on(firkin: Command) -> None:
    """It counts, and its log has every number up to now once."""
    before = len(firkin("logs", "box", check=True).stdout.split())
    script = f"until [ $(cat /count) -gt {before} ]; do sleep 0.2; done"
    firkin("exec", "box", "sh", "-c", script, check=True)
    numbers = list(map(int, firkin("logs", "box", check=True).stdout.split()))
    assert numbers == list(range(1, len(numbers) + 1))


def states(firkin: Command) -> str:
    return firkin("inspect", "-f", "{{.State.Status}} {{.State.Paused}} {{.State.Running}}", "box").stdout


def test_it_stands_still_and_says_so(busybox: Command) -> None:
    began_s, began_uptime_s = time.monotonic(), uptime_s(busybox)
    assert busybox("pause", "box", check=True).stdout == "box\n"
    paused_s = time.monotonic()
    assert states(busybox) == "paused true true\n"
    assert busybox("ps", "--format", "{{.State}} {{.Status}}").stdout.endswith(" (Paused)\n")
    for refused in (["exec", "box", "true"], ["top", "box"], ["pause", "box"], ["start", "box"],
                    ["suspend", "box"], ["snapshot", "create", "box"], ["diff", "box"]):  # fmt: skip
        complaint = busybox(*refused)
        assert complaint.status == 125, refused
        assert "container 'box' is paused" in complaint.stderr
        assert "firkin unpause box" in complaint.stderr
    assert busybox("rm", "box").status == 125
    stood_s = time.monotonic() - paused_s
    assert busybox("unpause", "box", check=True).stdout == "box\n"
    ran_s = uptime_s(busybox) - began_uptime_s
    assert ran_s <= time.monotonic() - began_s - stood_s
    before, said = time.time(), busybox("exec", "box", "date", "+%s", check=True).stdout
    assert before - 1 <= int(said) <= time.time()
    assert "is not paused" in busybox("unpause", "box").stderr
    counts_on(busybox)
    busybox("pause", "box", check=True)
    busybox("resume", "box", check=True)
    counts_on(busybox)
    busybox("pause", "box", check=True)
    assert busybox("stop", "-t", "60", "box").status == 0
    assert busybox("wait", "box").stdout == "7\n", "it heard its stop signal"
    busybox("start", "box", check=True)
    busybox("pause", "box", check=True)
    busybox("kill", "box", check=True)
    assert busybox("wait", "box").stdout == "137\n"
    busybox("rm", "box", check=True)


def test_it_stands_still_when_its_supervisor_dies(
    busybox: Command, stocked: Home, settings: Settings
) -> None:
    began_s, began_uptime_s = time.monotonic(), uptime_s(busybox)
    busybox("pause", "box", check=True)
    paused_s = time.monotonic()
    for _ in range(2):
        kill_supervisor(stocked)
        assert states(busybox) == "paused true true\n"
        assert "is paused" in busybox("exec", "box", "true").stderr, (
            "says the next one, which has taken it over"
        )
    stood_s = time.monotonic() - paused_s
    busybox("unpause", "box", check=True)
    ran_s = uptime_s(busybox) - began_uptime_s
    assert ran_s < time.monotonic() - began_s - stood_s / 2, "but for the moments of being taken over"
    counts_on(busybox)

    kill_supervisor(stocked)  # in the middle of a pause: it stands still, which nobody has put on record
    found = record.find(settings.paths, "box")
    with connect(settings.paths.qmp_socket_path(found.id)) as qmp, qmp.makefile("rw") as talk:
        talk.readline()
        for command in ("qmp_capabilities", "stop"):
            talk.write(json.dumps({"execute": command}) + "\n")
            talk.flush()
            while "return" not in json.loads(talk.readline()):
                pass
        qmp.shutdown(socket.SHUT_RDWR)
    counts_on(busybox)
    busybox("rm", "-f", "box", check=True)


async def test_a_pause_that_cannot_be_put_on_record_did_not_happen(
    stocked: Home, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Engine(settings) as engine:
        box = await engine.run(run_options("busybox", ["sleep", "inf"], auto_remove=True))

        def full(*_: object) -> None:
            raise StorageFull("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(record.Record, "set_running", full)
            with pytest.raises(StorageFull):
                await box.pause()
        assert (await output(await box.exec(ExecOptions(command=("echo", "on"))))).stdout == b"on\n"
        await box.pause()
        assert isinstance(box.state, Running)
        assert box.state.paused
        with pytest.raises(WrongState, match="is paused"):
            await box.exec(ExecOptions(command=("true",)))
        await box.unpause()
        assert (await output(await box.exec(ExecOptions(command=("echo", "on"))))).stdout == b"on\n"
