"""A container that has ended is started again: its disk, its log and its name are what they were."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from firkin.container.record import Exited
from firkin.engine import supervised
from firkin.engine.engine import Engine
from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.pytest.leaks import processes_of, wait_until_gone
from firkin.settings import Settings

pytestmark = pytest.mark.machine

COUNT = "echo x >> /count; wc -l < /count; echo oops >&2; exit 3"


def test_the_same_command_runs_again_on_the_disk_that_was_left(busybox: Command) -> None:
    first = busybox("run", "--name", "counter", "busybox", "sh", "-c", COUNT)
    assert (first.stdout, first.status) == ("1\n", 3)

    again = busybox("start", "-a", "counter")
    assert (again.stdout, again.stderr, again.status) == ("2\n", "oops\n", 3)
    assert busybox("start", "counter").stdout == "counter\n"
    assert busybox("wait", "counter").stdout == "3\n"
    assert busybox("logs", "counter").stdout == "1\n2\n3\n"
    assert busybox("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout == "counter exited\n"
    busybox("rm", "counter", check=True)


def test_starting_what_runs_changes_nothing_and_what_is_not_there_fails(busybox: Command) -> None:
    busybox("run", "-q", "-d", "--name", "box", "busybox", "sleep", "1000", check=True)
    before = busybox("inspect", "-f", "{{.State.StartedAt}}", "box").stdout
    assert busybox("start", "box", "nosuch").status == 125
    assert busybox("inspect", "-f", "{{.State.StartedAt}}", "box").stdout == before
    refused = busybox("start", "-a", "box", "other")
    assert (refused.status, "only one" in refused.stderr) == (125, True)
    busybox("rm", "-f", "box", check=True)


def test_a_start_that_fails_leaves_it_ended_as_before(busybox: Command) -> None:
    assert busybox("run", "--name", "box", "busybox", "sh", "-c", "echo kept > /f; exit 4").status == 4
    failed = busybox("start", "box", FIRKIN_QEMU="/bin/false")
    assert failed.status == 125
    assert "exited 4" in busybox("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "box").stdout
    assert busybox("start", "-a", "box").status == 4


async def test_a_restarted_container_outlives_its_supervisor_with_all_its_output(
    engine: Engine, home: Home, settings: Settings, busybox: Command
) -> None:
    script = "echo begin; while read line; do echo got $line; done; exit 5"
    busybox("run", "-q", "-d", "-i", "--name", "box", "busybox", "sh", "-c", script, check=True)
    container = await engine.container("box")
    await read_until((await container.attach(replay=True)).stdout, b"begin\n")
    await container.stop(0)
    container = await engine.start("box")
    process = await container.attach(stdin=True, replay=True)
    assert process.stdin is not None
    await process.stdin.write(b"one\n")
    await read_until(process.stdout, b"begin\ngot one\n")

    (supervisor,) = [each for each in processes_of(str(home.root)) if "firkin.supervisor" in str(each)]
    os.kill(supervisor.pid, signal.SIGKILL)
    wait_until_gone([supervisor.pid], 10)
    process = await (await engine.container("box")).attach(stdin=True, replay=True)
    assert process.stdin is not None
    await process.stdin.write(b"two\n")
    await read_until(process.stdout, b"begin\ngot one\ngot two\n")
    process.stdin.close()
    assert (await container.wait()).code == 5
    said = b"".join([record.data async for record in container.logs()])
    assert said == b"begin\nbegin\ngot one\ngot two\n"
    await container.remove()


async def test_a_request_that_is_made_again_starts_it_once(
    engine: Engine, settings: Settings, busybox: Command
) -> None:
    busybox("run", "--name", "counter", "busybox", "sh", "-c", COUNT)
    container = await engine.container("counter")
    ended = container.state
    assert isinstance(ended, Exited)
    asked = (supervised.run(settings, container.id, again=ended.finished_ns) for _ in range(3))
    await asyncio.gather(*asked)
    await container.wait()
    await supervised.run(settings, container.id, again=ended.finished_ns)
    said = b"".join([record.data async for record in container.logs() if record.stream == "stdout"])
    assert said == b"1\n2\n"
    await container.remove()


async def read_until(stream, wanted: bytes) -> None:
    said = b""
    async with asyncio.timeout(60):
        while len(said) < len(wanted):
            said += await stream.read()
    assert said == wanted
