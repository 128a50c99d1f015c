"""Machines for tests below the engine: a busybox disk, and a shell in it through the agent."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from firkin import machine as machines
from firkin.agent.client import AgentClient
from firkin.machine.qemu.machine import Machine
from firkin.machine.spec import Disk, MachineSpec
from firkin.network.guest import guest_network
from firkin.network.spec import NetworkSpec
from firkin.process.capabilities import DEFAULT
from firkin.settings import Settings
from firkin.wire.messages import Container, Mount, Root, Spawn

BUSYBOX = "/bin/busybox"
MIB = 1 << 20


def busybox_disk(directory: Path, programs: Mapping[str, Path] = MappingProxyType({})) -> Disk:
    """A qcow2 overlay over a small ext4 image with busybox, and further static `programs`, in /bin."""
    tree = directory / "tree"
    for name in ("bin", "etc", "tmp", "root", "mnt"):
        (tree / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, tree / "bin")
    (tree / "bin" / "sh").symlink_to("busybox")
    for name, program in programs.items():
        shutil.copy(program, tree / "bin" / name)
    image, overlay = directory / "image.ext4", directory / "disk.qcow2"
    subprocess.run(
        ["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree, image, "64M"], check=True
    )
    machines.create_overlay(overlay, image, 64 * MIB)
    return Disk(path=overlay, format="qcow2", backing=image)


@dataclass(slots=True)
class Guest:
    """A machine with one container in it."""

    machine: Machine
    client: AgentClient

    async def sh(self, script: str) -> tuple[int, str]:
        """Exit status and whole output of a shell script in the container."""
        process = await self.client.spawn(spawn_op([BUSYBOX, "sh", "-c", f"exec 2>&1; {script}"]))
        output = b""
        while data := await process.stdout.read(65536):
            output += data
        return (await process.wait()).status, output.decode(errors="replace").strip()


def spawn_op(args: Sequence[str]) -> Spawn:
    """A process of the container, with Docker's default capabilities."""
    return Spawn(
        proc=0, container="c", args=tuple(args), env=("PATH=/bin",), cwd="/", caps=DEFAULT, umask=0o022
    )


@asynccontextmanager
async def guest(
    spec: MachineSpec,
    settings: Settings,
    directory: Path,
    mounts: Sequence[Mount] = (),
    *,
    grow_bytes: int = 0,
) -> AsyncIterator[Guest]:
    """A machine of `spec` whose first disk is the root of a container, grown to `grow_bytes`; it ends with
    the block.
    """
    directory.mkdir(exist_ok=True)
    container = Container(
        container="c",
        root=Root(device="/dev/vda", grow_bytes=grow_bytes),
        hostname="guest",
        mounts=tuple(mounts),
    )
    run_dir = directory / "run"
    async with (
        machines.boot(spec, settings=settings, dir=directory, run_dir=run_dir) as machine,
        await AgentClient.open(machine.open_agent(), machine=spec.name) as client,
    ):
        # The container lives as long as its first process.
        first = client.register(spawn_op([BUSYBOX, "sleep", "1000000"]), stdout=False, stderr=False)
        assert first.op is not None
        cards = NetworkSpec() if spec.network == "user" else NetworkSpec(interfaces=())
        network = guest_network(cards, spec.ports)
        await machine.booted(client.start([*network.ops, container, first.op]))
        yield Guest(machine, client)


def status_of(pid: int) -> dict[str, str]:
    """/proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)
