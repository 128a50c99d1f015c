"""Whoever keeps a disk is killed, or runs out of room: the container goes on, and what is kept is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.pytest.leaks import SUPERVISOR, processes_of, wait_until_gone
from tests.support.ext4 import assert_clean, read

OWNER = """
import asyncio, os, signal, sys
from firkin.container.record import find
from firkin.engine.owner import OwnedContainer
from firkin.machine.qemu.machine import Machine
from firkin.settings import Settings

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

switch = Machine.switch_overlay

async def switch_and_die(machine, path):
    await switch(machine, path)
    die()

Machine.switch_overlay = die if sys.argv[1] == "before" else switch_and_die

async def main():
    settings = Settings.load()
    record = find(settings.paths, "box")
    container = OwnedContainer.adopt(record, record.own(), record.state(), settings=settings)
    await container.start()
    await container.snapshot("never", disk_only=True)

asyncio.run(main())
"""
FULL = """
import asyncio, os, sys
sys.path.insert(0, {tests!r})
from firkin.container import layers, record
from firkin.engine import disk_snapshots
from firkin.errors import StorageFull
from firkin.settings import Settings
from firkin.snapshot.record import snapshots
from tests.unit.engine.test_disk_snapshots import KEY, MIB, holds, made

paths = Settings.load().paths
image = layers.image_path(paths, KEY)
image.parent.mkdir(parents=True)
image.write_bytes(bytes(MIB))
box = made(paths, value=7)
before = box.disk()
filler = open(paths.data / "filler", "wb", buffering=0)
room = os.statvfs(paths.data)
filler.write(bytes(room.f_bavail * room.f_bsize))
try:
    asyncio.run(disk_snapshots.take_of_ended(box, "one"))
except StorageFull as error:
    print(error)
assert (box.disk(), snapshots(paths)) == (before, [])
os.truncate(paths.data / "filler", 0)
assert holds(box, 7)
asyncio.run(disk_snapshots.take_of_ended(box, "one"))
assert holds(box, 7)
"""


@pytest.mark.machine
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_owner_that_dies_around_the_switch_costs_nothing(
    firkin: Command, stocked: Home, tmp_path: Path, moment: str
) -> None:
    firkin("run", "-q", "-d", "--name", "box", "busybox", "sleep", "1000", check=True)
    firkin("exec", "box", "sh", "-c", "echo one > /one; sync", check=True)
    kill_supervisor(stocked)
    owner = subprocess.run([sys.executable, "-c", OWNER, moment], env=firkin.environ, timeout=60)
    assert owner.returncode == -signal.SIGKILL

    assert firkin("exec", "box", "cat", "/one").stdout == "one\n"
    firkin("exec", "box", "sh", "-c", "echo two > /two; sync", check=True)
    assert firkin("snapshot", "ls", "-q").stdout == ""
    firkin("snapshot", "create", "--disk-only", "box", "later", check=True)
    firkin("exec", "box", "sh", "-c", "echo three > /three; sync", check=True)
    assert_clean(disk := disk_of(firkin, tmp_path))
    assert (read(disk, "one"), read(disk, "two")) == (b"one\n", b"two\n")

    firkin("stop", "-t", "0", "box", check=True)
    firkin("start", "box", check=True)
    assert firkin("exec", "box", "cat", "/one", "/two", "/three").stdout == "one\ntwo\nthree\n"
    firkin("rm", "-f", "box", check=True)
    firkin("snapshot", "rm", "later", check=True)
    assert list((stocked.data_dir / "disks").iterdir()) == []


def test_a_full_disk_makes_no_snapshot_and_harms_none(home: Home) -> None:
    home.data_dir.mkdir(parents=True, exist_ok=True)
    mount = 'mount -t tmpfs -o size=4m,mode=700 none "$SMALL" && exec "$@"'
    unshare = ["unshare", "--mount", "--propagation", "private"]
    unshare += [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    program = FULL.format(tests=str(Path(__file__).parents[2]))
    environ = home.environ() | {"SMALL": str(home.data_dir), "PYTHONPATH": ":".join(filter(None, sys.path))}
    command = [*unshare, "sh", "-c", mount, "sh", sys.executable, "-c", program]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    if "unshare" in ended.stderr or "mount:" in ended.stderr:
        pytest.skip(f"cannot mount a small disk here: {ended.stderr.strip()}")
    assert ended.returncode == 0, ended.stderr
    assert "no space left on the disk" in ended.stdout


def disk_of(firkin: Command, to: Path) -> Path:
    """The file system of the snapshot `later`, as qemu-img reads it."""
    top = firkin("snapshot", "inspect", "-f", "{{index .Layers 0}}", "later", check=True).stdout.strip()
    disk = to / "later"
    subprocess.run(["qemu-img", "convert", "-O", "raw", top, disk], check=True)
    return disk


def kill_supervisor(home: Home) -> None:
    (pid,) = [found.pid for found in processes_of(str(home.root)) if SUPERVISOR in found.command]
    os.kill(pid, signal.SIGKILL)
    wait_until_gone([pid], 30)
