"""A container that was suspended goes on as itself: processes, log, disk, name and ports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from firkin.container.record import Record, Running, Suspended
from firkin.engine.engine import Engine
from firkin.engine.options import ExecOptions
from firkin.engine.words import run_options
from firkin.errors import StorageFull, WrongState
from firkin.process.output import output
from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import Home
from firkin.pytest.leaks import SUPERVISOR, processes_of, wait_until_gone
from firkin.settings import Settings

pytestmark = pytest.mark.machine

COUNTER = "i=0; while :; do i=$((i+1)); echo $i; echo $i > /count; sleep 0.2; done"


def run(firkin: Command, *words: str, command: str = COUNTER) -> None:
    firkin("run", "-q", "-d", "--name", "box", *words, "busybox", "sh", "-c", command, check=True)


def logged(firkin: Command) -> list[int]:
    return list(map(int, firkin("logs", "box", check=True).stdout.split()))


def counts_on(firkin: Command) -> int:
    """The number that it has come to, once it has counted on; its log has every one before, once."""
    before = len(logged(firkin))
    script = f"until [ $(cat /count) -gt {before} ]; do sleep 0.2; done"
    firkin("exec", "box", "sh", "-c", script, check=True)
    numbers = logged(firkin)
    assert numbers == list(range(1, len(numbers) + 1))
    return len(numbers)


def kill_supervisor(home: Home) -> None:
    (pid,) = (found.pid for found in processes_of(str(home.root)) if SUPERVISOR in found.command)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone([pid], 30)


def test_it_goes_on_where_it_was_with_no_byte_of_its_log_lost_or_doubled(busybox: Command) -> None:
    run(busybox)
    for _ in range(2):
        counts_on(busybox)
        assert busybox("suspend", "box", check=True).stdout == "box\n"
        state = busybox("ps", "-a", "--format", "{{.State}} {{.Status}}").stdout
        assert state.startswith("suspended Suspended")
        assert busybox("ps", "-q").stdout == ""
        assert busybox("resume", "box", check=True).stdout == "box\n"
    seen = counts_on(busybox)
    assert busybox("exec", "box", "hostname").stdout.strip() == busybox("ps", "-q").stdout.strip()
    assert seen > 3
    assert busybox("resume", "box").status == 0, "it runs: nothing to do"
    busybox("rm", "-f", "box", check=True)


def test_it_survives_a_reboot_of_the_host(busybox: Command, home: Home) -> None:
    run(busybox, "--rm")
    before = counts_on(busybox)
    busybox("suspend", "box", check=True)
    kill_supervisor(home)
    shutil.rmtree(home.run_dir)  # what a reboot leaves of it
    busybox("ps", check=True)
    busybox("run", "--rm", "busybox", "true", check=True)  # tidies
    assert busybox("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout == "box suspended\n"
    busybox("resume", "box", check=True)
    assert counts_on(busybox) > before
    busybox("rm", "-f", "box", check=True)


def test_a_suspended_container_says_so_to_whoever_wants_it_to_run(busybox: Command) -> None:
    run(busybox)
    busybox("suspend", "box", check=True)
    for verb in (["exec", "box", "true"], ["start", "box"], ["wait", "box"], ["kill", "box"], ["top", "box"]):
        refused = busybox(*verb)
        assert (refused.status, "is suspended" in refused.stderr) == (125, True), verb
        assert "firkin resume box" in refused.stderr
    assert (
        busybox("inspect", "-f", "{{.State.Status}} {{.State.Running}}", "box").stdout == "suspended false\n"
    )
    assert busybox("suspend", "box").status == 125
    assert busybox("stop", "box").status == 0
    assert busybox("ps", "-a", "--format", "{{.State}}").stdout == "suspended\n"
    refused = busybox("rm", "box")
    assert (refused.status, "'box' is suspended" in refused.stderr) == (125, True)
    assert "firkin rm -f box" in refused.stderr
    busybox("rm", "-f", "box", check=True)
    assert busybox("ps", "-aq").stdout == ""


@pytest.mark.parametrize("written", [False, True])
async def test_one_that_cannot_be_put_on_record_as_suspended_goes_on_and_keeps_nothing(
    busybox: Command, settings: Settings, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    """Whether the write itself failed, or what makes it survive a power cut."""
    write = Record.set_suspended

    def fail(record: Record, state: Suspended) -> None:
        if written:
            write(record, state)
        raise StorageFull("the disk is full")

    async with Engine(settings) as engine:
        box = await engine.run(run_options("busybox", ["sh", "-c", COUNTER], name="box"))
        record = Record(settings.paths, box.id)
        with monkeypatch.context() as patch:
            patch.setattr(Record, "set_suspended", fail)
            with pytest.raises(StorageFull, match="the disk is full"):
                await box.suspend()
        assert isinstance(box.state, Running)
        assert record.state() == box.state
        assert not list(record.dir.glob("*suspended*"))
        begun = 'until before=$(cat /count) && [ "$before" ]; do sleep 0.1; done'
        script = f'{begun}; until [ "$(cat /count)" -gt "$before" ]; do sleep 0.2; done; echo on'
        said = await output(await box.exec(ExecOptions(command=("sh", "-c", script))))
        assert said.stdout == b"on\n"
        await box.suspend()
        assert isinstance(record.state(), Suspended)
        with pytest.raises(WrongState, match="is suspended"):
            await box.remove()
    busybox("resume", "box", check=True)
    counts_on(busybox)
    busybox("rm", "-f", "box", check=True)


def test_who_waits_for_it_is_told_that_it_was_suspended(busybox: Command) -> None:
    run(busybox)
    execing, attached, waiting = (
        subprocess.Popen(
            [*FIRKIN, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=busybox.environ,
            cwd=busybox.cwd,
        )
        for words in (["exec", "box", "sh", "-c", COUNTER], ["attach", "box"], ["wait", "box"])
    )
    for process in (execing, attached):
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
    busybox("suspend", "box", check=True)
    for process in (execing, attached, waiting):
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 125
        assert b"container 'box' was suspended" in complaint or process is waiting
        assert b"suspended" in complaint
        assert b"firkin resume box" in complaint
    busybox("rm", "-f", "box", check=True)


def test_a_process_that_ended_just_then_has_ended_when_it_goes_on(busybox: Command) -> None:
    run(busybox, command="echo begun; sleep 1; echo over; exit 7")
    suspended = busybox("suspend", "box")
    if suspended.status == 0:
        busybox("resume", "box", check=True)
    assert busybox("wait", "box").stdout == "7\n"
    assert busybox("logs", "box").stdout == "begun\nover\n"
    busybox("rm", "box", check=True)


def test_its_ports_are_asked_for_again(busybox: Command) -> None:
    serve = "nc -ll -p 80 -e echo served"
    run(busybox, "-p", "127.0.0.1:47655:80", command=serve)
    busybox("suspend", "box", check=True)
    busybox(
        "run",
        "-q",
        "-d",
        "--name",
        "other",
        "-p",
        "127.0.0.1:47655:80",
        "busybox",
        "sleep",
        "inf",
        check=True,
    )
    refused = busybox("resume", "box")
    assert (refused.status, "47655" in refused.stderr) == (125, True)
    assert busybox("ps", "-a", "--format", "{{.State}}", "--no-trunc").stdout.split() == [
        "running",
        "suspended",
    ]
    busybox("rm", "-f", "other", check=True)
    busybox("resume", "box", check=True)
    assert "47655" in busybox("ps", "--format", "{{.Ports}}").stdout
    busybox("rm", "-f", "box", check=True)


def test_another_kernel_and_agent_are_no_reason_but_another_qemu_is(busybox: Command, home: Home) -> None:
    run(busybox)
    busybox("suspend", "box", check=True)
    other = {"version": "9", "sha256": "0" * 64}
    alter(home, kernel=other, agent=other, qemu=other)
    refused = busybox("resume", "box")
    assert refused.status == 125
    assert "suspended container 'box' cannot go on here: its QEMU was 9" in refused.stderr
    assert "firkin rm -f box" in refused.stderr
    assert busybox("ps", "-a", "--format", "{{.State}}").stdout == "suspended\n"
    true = json.loads(original(home).read_bytes())
    alter(home, qemu=true["qemu"])
    busybox("resume", "box", check=True)
    counts_on(busybox)
    busybox("rm", "-f", "box", check=True)


def original(home: Home) -> Path:
    """What was saved, before anybody altered it."""
    (path,) = (home.data_dir / "containers").glob("*/suspended/saved.json")
    kept = home.root / "saved.json"
    if not kept.exists():
        shutil.copy(path, kept)
    return kept


def alter(home: Home, **fields: object) -> None:
    original(home)
    (path,) = (home.data_dir / "containers").glob("*/suspended/saved.json")
    saved = json.loads(path.read_bytes())
    path.chmod(0o600)
    path.write_text(json.dumps(saved | fields))
