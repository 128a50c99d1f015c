"""Machine knobs in real machines: what the guest's kernel, and this host's, say of each."""

from __future__ import annotations

import asyncio
import gzip
import os
import stat
from pathlib import Path

import msgspec
import pytest

import firkin as api
from firkin.errors import UsageError
from firkin.events import Event, subscribed
from firkin.machine import cpio
from firkin.machine.kernel import choose_kernel
from firkin.machine.knobs import Knobs
from firkin.machine.spec import MachineSpec
from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.settings import Settings
from firkin.wire.messages import Mount
from tests.support.machines import Guest, busybox_disk, guest, status_of

pytestmark = pytest.mark.machine

MIB = 1 << 20


def archive(directory: Path) -> Path:
    """An initramfs with 8 MiB in it, and with an /init that would end any machine."""
    path = directory / "more.img"
    content = cpio.archive([cpio.file("blob", os.urandom(8 * MIB)), cpio.file("init", b"#!/nothing", 0o755)])
    path.write_bytes(gzip.compress(content, 1))
    return path


async def test_a_container_on_a_kernel_and_initramfs_of_its_own(
    stocked: Home, settings: Settings, tmp_path: Path
) -> None:
    log, kernel = tmp_path / "boot.log", tmp_path / "vmlinuz"
    chosen = choose_kernel(settings)
    kernel.write_bytes(chosen.path.read_bytes())
    seen: list[Event] = []
    with subscribed(seen.append):
        async with (
            api.AsyncEngine(settings) as engine,
            await engine.run(
                "busybox",
                ["sleep", "1000000"],
                kernel=kernel,
                initramfs=archive(tmp_path),
                kernel_args=["firkin.word=1", "loglevel=7"],
                boot_log=log,
                entropy=True,
            ) as box,
        ):
            script = "cat /proc/cmdline; uname -r; cat /sys/class/misc/hw_random/rng_available"
            said = (await box.exec(["sh", "-c", script]).output(text=True)).stdout.splitlines()
            told = box.inspect()["HostConfig"]
    assert said[0].endswith(" firkin.word=1 loglevel=7")
    assert "quiet" not in said[0].split()
    assert said[1] == chosen.version
    assert "virtio_rng.0" in said[2]
    assert (told["Kernel"], told["BootLog"], told["Entropy"]) == (str(kernel), str(log), True)
    console = log.read_text(errors="replace")
    assert f"Linux version {chosen.version}" in console
    (freed,) = (line for line in console.splitlines() if "Freeing initrd memory" in line)
    assert int(freed.split()[-1].rstrip("K")) > 8 << 10, "the kernel unpacked both archives"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert [event.fields["reason"] for event in seen if event.name == "machine.cold"] == [
        "its kernel, or what that is told, is its own"
    ]


def test_an_initramfs_that_cannot_be_unpacked_is_told_by_the_kernels_words(
    stocked: Home, firkin: Command, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.img"
    broken.write_bytes(b"\x1f\x8b" + b"not gzip at all" * 100)
    failed = firkin("run", "--rm", "--initramfs", str(broken), "busybox", "true")
    assert failed.status == 125
    assert "kernel panic" in failed.stderr
    assert "the console's last lines:" in failed.stderr
    assert "Kernel panic - not syncing" in failed.stderr
    assert firkin("ps", "-aq", check=True).stdout == ""


async def test_memory_that_the_guest_has_freed_goes_back_to_the_host(
    settings: Settings, tmp_path: Path
) -> None:
    spec = MachineSpec(
        name="balloon", disks=(busybox_disk(tmp_path),), memory_bytes=256 * MIB, knobs=Knobs(balloon=True)
    )
    spec = msgspec.structs.replace(spec, network="none")
    async with guest(spec, settings, tmp_path, [Mount(type="tmpfs", source="tmpfs", target="/tmp")]) as it:
        status, _ = await it.sh("busybox dd if=/dev/zero of=/tmp/big bs=1M count=96")
        assert status == 0
        full = resident_bytes(it.machine.pid)
        await it.sh("busybox rm /tmp/big")
        await fallen_by(it.machine.pid, full, 64 * MIB)

        before = await free_kib(it)
        await it.machine.balloon(128 * MIB)
        await settled(it, 0, before - (100 << 10))
        await it.machine.balloon(256 * MIB)
        await settled(it, before - (20 << 10), 1 << 30)
        with pytest.raises(UsageError, match="cannot have"):
            await it.machine.balloon(257 * MIB)


def resident_bytes(pid: int) -> int:
    return int(status_of(pid)["VmRSS"].split()[0]) << 10


async def fallen_by(pid: int, from_bytes: int, by_bytes: int) -> None:
    """Wait until so much less of a process is in memory. The guest tells of freed pages every two seconds."""
    async with asyncio.timeout(60):
        while resident_bytes(pid) > from_bytes - by_bytes:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.1)


async def free_kib(it: Guest) -> int:
    """The free memory of the guest, by its own count: a balloon takes from it."""
    _, said = await it.sh("busybox grep MemFree /proc/meminfo")
    return int(said.split()[1])


async def settled(it: Guest, least_kib: int, most_kib: int) -> None:
    """Wait until the guest has so much memory free."""
    async with asyncio.timeout(60):
        while not least_kib <= await free_kib(it) <= most_kib:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.1)
