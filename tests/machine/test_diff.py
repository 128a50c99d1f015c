"""What containers change in real machines, told from their disks."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest

import firkin
from firkin.engine.engine import Engine
from firkin.engine.options import ExecOptions, RunOptions
from firkin.pytest.command import Command
from firkin.pytest.home import Home

pytestmark = pytest.mark.machine


@pytest.mark.parametrize("image", ["busybox", "debian"])
def test_a_container_that_changes_nothing_has_no_changes(stocked: Home, firkin: Command, image: str) -> None:
    firkin("run", "-q", "--name", "idle", image, "true", check=True)
    assert firkin("diff", "idle", check=True).stdout == ""


def test_what_a_container_changed_is_shown_once_it_has_ended(busybox: Command) -> None:
    script = (
        "mkdir -p /new/deep; echo x > /new/deep/file; chmod 700 /bin/busybox; rm /bin/cat; "
        "ln -s /new /link; dd if=/dev/zero of=/big bs=1M count=20; rm /big; touch \"/new/a$(printf '\\nb')\""
    )
    busybox("run", "-q", "--name", "busy", "busybox", "sh", "-c", script, check=True)
    shown = busybox("diff", "busy", check=True).stdout
    assert shown.splitlines() == [
        "C /bin", "C /bin/busybox", "D /bin/cat", "A /link", "A /new", "A /new/a\\nb", "A /new/deep",
        "A /new/deep/file",
    ]  # fmt: skip
    rows = busybox("diff", "--format", "json", "busy", check=True).stdout.splitlines()
    assert json.loads(rows[5]) == {"Type": "A", "Path": "/new/a\nb"}
    assert busybox("diff", "--format", "{{.Type}}{{.Path}}", "busy", check=True).stdout.startswith("C/bin\n")


def test_snapshots_are_compared_with_each_other_and_with_what_they_stand_on(busybox: Command) -> None:
    busybox("run", "-q", "-d", "--name", "box", "busybox", "sleep", "1000", check=True)
    busybox("exec", "box", "sh", "-c", "mkdir /d; echo one > /d/file; rm /bin/cat", check=True)
    busybox("snapshot", "create", "--disk-only", "box", "one", check=True)
    busybox("exec", "box", "sh", "-c", "echo two > /d/file; echo new > /d/new", check=True)
    busybox("snapshot", "create", "--disk-only", "box", "two", check=True)
    busybox("exec", "box", "sh", "-c", "echo branch > /branch; rm -r /d", check=True)
    busybox("snapshot", "create", "--disk-only", "box", "three", check=True)

    def diff(*names: str) -> list[str]:
        return busybox("snapshot", "diff", *names, check=True).stdout.splitlines()

    def since_image() -> list[str]:
        return busybox("diff", "box", check=True).stdout.splitlines()

    assert diff("one") == ["C /bin", "D /bin/cat", "A /d", "A /d/file"]
    assert diff("two") == diff("one", "two") == ["C /d", "C /d/file", "A /d/new"]
    assert diff("three") == ["A /branch", "D /d"]
    assert diff("one", "three") == ["A /branch", "D /d"]
    assert diff("three", "one") == ["D /branch", "A /d", "A /d/file"]
    assert diff("two", "two") == []
    assert "no such snapshot" in busybox("snapshot", "diff", "one", "nosuch").stderr
    assert "cannot be compared" in busybox("snapshot", "diff", "one", "two", "three").stderr
    assert since_image() == ["C /bin", "D /bin/cat", "A /branch"]
    busybox("exec", "box", "rm", "/branch", check=True)
    assert since_image() == ["C /bin", "D /bin/cat"]
    busybox("stop", "-t", "0", "box", check=True)
    assert since_image() == ["C /bin", "D /bin/cat"]
    busybox("rm", "box", check=True)


def test_a_container_that_never_stops_writing_is_compared_and_goes_on(busybox: Command) -> None:
    busy = "while :; do i=$((i+1)); mkdir -p /d; echo $i > /d/$((i % 50)); rm -f /d/$(((i + 7) % 50)); done"
    busybox("run", "-q", "-d", "--name", "box", "busybox", "sh", "-c", busy, check=True)
    for _ in range(5):
        found = set(busybox("diff", "box", check=True).stdout.splitlines())
        assert found <= {"A /d", "A /d/other", *(f"A /d/{number}" for number in range(50))}
        written = busybox("exec", "box", "sh", "-c", "echo x > /d/other && cat /d/other", check=True)
        assert written.stdout == "x\n"
    busybox("rm", "-f", "box", check=True)


async def test_writes_wait_while_a_disk_stands_still_and_go_on_when_its_reader_leaves(
    stocked: Home, engine: Engine
) -> None:
    container = await engine.run_detached(RunOptions(image="busybox", command=("sleep", "1000")))
    write = ExecOptions(command=("sh", "-c", "echo x > /file; sync"))
    with suppress(InterruptedError):
        async with container.still():
            writing = await container.exec(write)
            waiting = asyncio.create_task(writing.wait())
            assert not (await asyncio.wait([waiting], timeout=0.5))[0]
            raise InterruptedError  # the reader fails
    assert (await waiting).code == 0
    async with container.still():
        pass
    assert (await (await container.exec(write)).wait()).code == 0
    await container.remove(force=True)


def test_changes_are_told_to_python_too(stocked: Home) -> None:
    with firkin.Engine() as engine, engine.run("busybox", ["sleep", "1000"]) as box:
        box.exec(["sh", "-c", "echo x > /one"]).output(check=True)
        first = box.snapshot("first", disk_only=True)
        box.exec(["sh", "-c", "rm /one; echo x > /two"]).output(check=True)
        second = box.snapshot("second", disk_only=True)
        assert box.changes() == [("A", "/two")]
        assert [(change.kind, change.path) for change in second.changes()] == [("D", "/one"), ("A", "/two")]
        assert first.changes() == [("A", "/one")]
        assert first.changes("second") == [("A", "/one"), ("D", "/two")]
