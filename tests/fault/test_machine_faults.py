"""Machines that cannot start, or never say hello: one clear error each, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from firkin import machine as machines
from firkin.agent.client import AgentClient
from firkin.errors import BootFailed, FirkinError, HostUnsupported, PortInUse, UsageError
from firkin.events import Event, subscribed
from firkin.machine import kernel as kernels_module
from firkin.machine import programs, start
from firkin.machine.spec import Disk, MachineSpec, PublishedPort, Share
from firkin.settings import Settings

_SAY = """
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    write(1, "the agent is stuck here\\n", 24);
    %s
}
"""


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put another program in the agent's place: it says a line on the console, then does `then`."""

    def replace(then: str) -> None:
        source, binary = tmp_path / "agent.c", tmp_path / "agent"
        source.write_text(_SAY % then)
        subprocess.run(["gcc", "-static", "-w", "-o", binary, source], check=True)
        monkeypatch.setattr(programs, "agent_path", lambda: binary)

    return replace


@pytest.fixture
def public_dir() -> Iterator[Path]:
    """A directory that every user can enter: as root, QEMU runs as somebody else."""
    with TemporaryDirectory(prefix="fkp", dir="/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


async def fails(spec: MachineSpec, settings: Settings, directory: Path) -> FirkinError:
    """The error of a machine that does not boot; its VMM is gone."""
    pids: list[int] = []
    with pytest.raises(FirkinError) as caught:
        await _boot(spec, settings, directory, pids)
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    assert caught.value.hint
    return caught.value


async def _boot(spec: MachineSpec, settings: Settings, directory: Path, pids: list[int]) -> None:
    async with machines.boot(spec, settings=settings, dir=directory, run_dir=directory / "run") as machine:
        pids.append(machine.pid)
        client = await AgentClient.open(machine.open_agent(), machine=spec.name)
        try:
            await machine.booted(client.start())
        finally:
            await client.close()


def tcg(**more: object) -> Settings:
    return Settings.load(os.environ, accelerator="tcg", **more)


async def test_no_qemu_names_the_program_and_the_package(tmp_path: Path) -> None:
    error = await fails(MachineSpec(name="web"), tcg(qemu="qemu-nowhere"), tmp_path)
    assert isinstance(error, HostUnsupported)
    assert "qemu-nowhere" in str(error)
    assert "apt install qemu-system-x86" in error.hint


async def test_no_kernel_says_how_to_fetch_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_module, "_BOOT", tmp_path / "no-boot")
    error = await fails(MachineSpec(name="web"), tcg(), tmp_path)
    assert isinstance(error, HostUnsupported)
    assert "firkin kernel install" in error.hint


async def test_no_agent_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firkin.machine.initramfs.__file__", str(tmp_path / "initramfs.py"))
    error = await fails(MachineSpec(name="web"), tcg(), tmp_path)
    assert "guest agent" in str(error)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (MachineSpec(name="web", memory_bytes=1 << 20), "1 MiB of memory"),
        (MachineSpec(name="web", cpus=0), "0 CPUs"),
        (MachineSpec(name="web", cpus=1000), "1000 CPUs"),
    ],
)
async def test_a_machine_that_qemu_cannot_build_is_refused(
    spec: MachineSpec, words: str, tmp_path: Path
) -> None:
    error = await fails(spec, tcg(), tmp_path)
    assert isinstance(error, UsageError)
    assert words in str(error)


async def test_a_missing_disk_is_named(tmp_path: Path) -> None:
    disk = Disk(path=tmp_path / "gone.qcow2", format="qcow2")
    error = await fails(MachineSpec(name="web", disks=(disk,)), tcg(), tmp_path)
    assert "gone.qcow2" in str(error)
    assert "'web'" in str(error)


async def test_a_disk_that_is_not_what_it_says_is_quoted_from_qemu(tmp_path: Path) -> None:
    (tmp_path / "disk.qcow2").write_bytes(b"not qcow2" * 1000)
    disk = Disk(path=tmp_path / "disk.qcow2", format="qcow2")
    error = await fails(MachineSpec(name="web", disks=(disk,)), tcg(), tmp_path)
    assert "qcow2" in str(error)


@pytest.mark.machine
async def test_a_disk_that_another_machine_writes_to_is_an_error_at_once(
    tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "disk.raw").write_bytes(bytes(1 << 20))
    spec = MachineSpec(name="web", disks=(Disk(path=tmp_path / "disk.raw", format="raw"),))
    first = tmp_path / "first"
    first.mkdir()
    async with machines.boot(spec, settings=settings, dir=first, run_dir=first / "run") as machine:
        client = await AgentClient.open(machine.open_agent(), machine="web")
        await machine.booted(client.start())
        error = await fails(spec, settings, tmp_path)
        assert "lock" in str(error)
        await client.close()


@pytest.mark.machine
@pytest.mark.slow
async def test_a_guest_that_never_says_hello_ends_at_the_deadline_with_its_console(
    tmp_path: Path, agent: Callable[[str], None]
) -> None:
    agent("for (;;) pause();")
    error = await fails(MachineSpec(name="web", boot_timeout_s=10), tcg(), tmp_path)
    assert isinstance(error, BootFailed)
    assert "within 10 s" in str(error)
    assert "the agent is stuck here" in error.console_tail
    assert "the agent is stuck here" in (tmp_path / "console.log").read_text()


@pytest.mark.machine
async def test_a_panic_is_told_by_its_own_words_and_not_by_a_deadline(
    tmp_path: Path, agent: Callable[[str], None]
) -> None:
    agent("return 7;")
    error = await fails(MachineSpec(name="web", boot_timeout_s=60), tcg(), tmp_path)
    assert isinstance(error, BootFailed)
    assert "Attempted to kill init" in str(error)
    assert "exitcode=0x00000700" in str(error)


async def test_a_port_that_is_taken_in_the_last_moment_is_still_port_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as rival:
        number = rival.getsockname()[1]
        # The rival binds after the claim and before QEMU.
        monkeypatch.setattr("firkin.machine.launch.claim_ports", tuple)
        spec = MachineSpec(name="web", ports=PublishedPort.parse(f"127.0.0.1:{number}:80"))
        error = await fails(spec, tcg(), tmp_path)
    assert isinstance(error, PortInUse)
    assert str(number) in str(error)


@pytest.mark.root
async def test_a_qemu_that_only_root_can_run_is_refused_since_it_never_runs_as_root(tmp_path: Path) -> None:
    mine = tmp_path / "qemu"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o700)
    error = await fails(MachineSpec(name="web"), tcg(qemu=str(mine)), tmp_path)
    assert isinstance(error, HostUnsupported)
    assert str(mine) in str(error)
    assert "as uid" in str(error)


async def test_a_share_of_what_is_not_there_is_refused_before_anything_starts(tmp_path: Path) -> None:
    spec = MachineSpec(name="web", shares=(Share(tag="s", source=tmp_path / "gone"),))
    error = await fails(spec, tcg(), tmp_path)
    assert isinstance(error, UsageError)
    assert "gone" in str(error)


async def test_no_virtiofsd_names_the_package(tmp_path: Path) -> None:
    spec = MachineSpec(name="web", shares=(Share(tag="s", source=tmp_path),))
    error = await fails(spec, tcg(virtiofsd="/nowhere/virtiofsd"), tmp_path)
    assert isinstance(error, HostUnsupported)
    assert "/nowhere/virtiofsd" in str(error)
    assert "apt install" in error.hint


async def test_a_virtiofsd_that_fails_is_quoted(tmp_path: Path) -> None:
    program = tmp_path / "virtiofsd"
    program.write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 3\n")
    program.chmod(0o755)
    spec = MachineSpec(name="web", shares=(Share(tag="s", source=tmp_path),))
    error = await fails(spec, tcg(virtiofsd=str(program)), tmp_path)
    assert isinstance(error, HostUnsupported)
    assert "no such luck" in str(error)


@pytest.mark.machine
async def test_a_kvm_that_opens_and_then_hangs_ends_in_tcg_and_a_notice(
    tmp_path: Path, public_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu = shutil.which("qemu-system-x86_64")
    hanging = public_dir / "bin" / "qemu"
    hanging.parent.mkdir()
    hanging.parent.chmod(0o755)
    hanging.write_text(f'#!/bin/sh\ncase " $* " in *" kvm "*) exec sleep 1000;; esac\nexec {qemu} "$@"\n')
    hanging.chmod(0o755)
    monkeypatch.setattr("firkin.machine.accelerator.DEVICE", os.devnull)
    monkeypatch.setattr("firkin.machine.kvm_probe.probe", lambda _: "runs")
    monkeypatch.setattr(start, "_KVM_TRIAL_S", 0.5)
    settings = Settings.load(os.environ, qemu=str(hanging))
    seen: list[Event] = []
    with subscribed(seen.append):
        async with machines.boot(
            MachineSpec(name="web"), settings=settings, dir=tmp_path, run_dir=tmp_path / "run"
        ) as machine:
            client = await AgentClient.open(machine.open_agent(), machine="web")
            assert (await machine.booted(client.start())).kernel
            assert machine.accelerator == "tcg"
            await client.close()
    (notice,) = [event.fields["text"] for event in seen if event.name == "machine.notice"]
    assert "never reached its agent" in notice
    with pytest.raises(HostUnsupported, match="KVM was asked for"):
        async with machines.boot(
            MachineSpec(name="web"),
            settings=Settings.load(os.environ, qemu=str(hanging), accelerator="kvm"),
            dir=tmp_path,
            run_dir=tmp_path / "run",
        ):
            pass
