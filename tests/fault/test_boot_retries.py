"""Starts that fail on the way: those that may pass are made again, and nothing is done twice."""

from __future__ import annotations

import os
import signal

import msgspec
import pytest

import firkin as api
from firkin.engine.engine import Engine
from firkin.engine.pod_options import pod_options
from firkin.engine.pod_owner import OwnedPod
from firkin.errors import BootFailed
from firkin.events import Event, subscribed
from firkin.pytest.home import Home
from firkin.pytest.leaks import processes_of
from firkin.settings import Settings

pytestmark = pytest.mark.machine


class Killer:
    """Kills the VMM of each start, as many as `victims`, while its guest begins."""

    def __init__(self, home: Home, victims: int) -> None:
        self._home, self._left = home, victims
        self.seen: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.seen.append(event)
        begins = event.name in ("machine.boot", "machine.restore") and event.phase == "begin"
        if begins and self._left:
            self._left -= 1
            for process in processes_of(str(self._home.root)):
                if "qemu-system" in process.command:
                    os.kill(process.pid, signal.SIGKILL)

    def told(self, name: str) -> list[Event]:
        return [event for event in self.seen if event.name == name]


async def test_a_vmm_that_is_killed_before_its_guest_heard_anything_is_started_again(
    stocked: Home, settings: Settings
) -> None:
    settings = msgspec.structs.replace(settings, templates=0)
    killer = Killer(stocked, 1)
    with subscribed(killer):
        async with api.AsyncEngine(settings) as engine:
            async with await engine.run("busybox", ["echo", "once"]) as box:
                assert (await box.output(text=True)).stdout == "once\n"
            (retry,) = killer.told("machine.retry")
            assert retry.fields["attempt"] == 1
            assert "killed" in retry.fields["reason"]
            killer = Killer(stocked, 99)
    with subscribed(killer):
        async with api.AsyncEngine(settings) as engine:
            with pytest.raises(BootFailed, match="SIGKILL") as caught:
                await engine.run("busybox", ["true"])
            assert "tried 3 times" in caught.value.hint
            assert await engine.containers(all=True) == []
    assert len(killer.told("machine.retry")) == 2


async def test_one_that_goes_on_from_a_snapshot_and_a_pod_are_started_again_too(
    stocked: Home, settings: Settings
) -> None:
    async with api.AsyncEngine(settings) as engine:
        async with await engine.run("busybox", ["sleep", "1000"]) as box:
            snapshot = await box.snapshot("kept")
        killer = Killer(stocked, 1)
        with subscribed(killer):
            async with await snapshot.restore() as again:
                pid = await (await again.exec(["pidof", "sleep"])).output(check=True, text=True)
                assert pid.stdout == "1\n"
        assert [each.fields["attempt"] for each in killer.told("machine.retry")] == [1]
        await snapshot.remove()
    settings = msgspec.structs.replace(settings, templates=0)
    async with Engine(settings) as inner:
        made = await inner.pods.create(pod_options({"name": "tried", "network": "none"}))
        pod = OwnedPod.begin(made.record, made.record.own(), settings=settings)
        killer = Killer(stocked, 2)
        with subscribed(killer):
            await pod.start()
        assert [each.fields["attempt"] for each in killer.told("machine.retry")] == [1, 2]
        await pod.close(remove=True)


async def test_a_machine_for_the_files_of_a_container_that_does_not_run_is_started_again(
    stocked: Home, settings: Settings
) -> None:
    settings = msgspec.structs.replace(settings, templates=0)
    killer = Killer(stocked, 1)
    async with api.AsyncEngine(settings) as engine:
        box = await engine.create("busybox", ["true"])
        with subscribed(killer):
            await box.copy_out("/etc/passwd", stocked.work_dir / "copied")
        await box.remove()
    assert (stocked.work_dir / "copied").read_text().startswith("root:")
    assert [each.fields["attempt"] for each in killer.told("machine.retry")] == [1]
