"""Snapshots on disk without machines: a real image, a real disk written by qemu-io, a memory of our own."""

from __future__ import annotations

import io
import os
import random
import subprocess
from pathlib import Path

from firkin.container.naming import new_id
from firkin.container.spec import ContainerSpec
from firkin.engine.images import Images
from firkin.machine import saved
from firkin.machine.qcow2 import create_overlay
from firkin.machine.saved import Part, SavedMachine
from firkin.oci.image import Image
from firkin.process.spec import ProcessSpec
from firkin.rootfs.cache import Rootfs, build
from firkin.settings import Settings
from firkin.snapshot import record
from firkin.snapshot.record import Snapshot
from tests.support.images import tar_of

MIB = 1 << 20
DISK_BYTES = 64 * MIB
PAGE = 4096


async def make_snapshot(settings: Settings, name: str = "frozen", *, memory: bytes | None = None) -> Snapshot:
    """A snapshot of a container with two layers on a small image; of the disk only without `memory`."""
    archive = io.BytesIO(tar_of({"etc/hostname": b"box\n", "noise": random.Random(1).randbytes(MIB)}))
    images = Images(settings)
    image = await images.import_archive(archive)
    rootfs = _rootfs(settings, images, image)
    layers = (_layer(settings, rootfs, b"\x22"), _layer(settings, rootfs, b"\x11"))
    spec = ContainerSpec(
        id=new_id(),
        name="box",
        image="mine",
        image_digest=str(image.digest),
        rootfs_key=rootfs.key,
        process=ProcessSpec(args=("true",)),
        created_ns=1,
        hostname="box",
        memory_bytes=len(memory) if memory is not None else 256 * MIB,
        disk_bytes=DISK_BYTES,
    )
    with record.making(settings.paths) as making:
        machine = _machine(making.dir, memory) if memory is not None else None
        return making.commit(
            Snapshot(
                id="",
                name="",
                created_ns=2,
                container=spec.id,
                container_name="box",
                spec=spec,
                layers=layers[::-1],
                parent=new_id(),
                machine=machine,
            ),
            name=name,
        )


def noisy_memory(size_bytes: int, seed: int = 0) -> bytes:
    """Memory as guests have it: zeros, pages that recur, and some that are like no other."""
    dice = random.Random(seed)
    shared = [dice.randbytes(PAGE) for _ in range(8)]
    pages = [
        bytes(PAGE) if kind < 0.6 else dice.choice(shared) if kind < 0.8 else dice.randbytes(PAGE)
        for kind in (dice.random() for _ in range(size_bytes // PAGE))
    ]
    return b"".join(pages)


def qemu_io(path: Path, *steps: str) -> str:
    """What qemu-io says to `steps` on the disk `path`."""
    words = [word for step in steps for word in ("-c", step)]
    return subprocess.run(["qemu-io", *words, str(path)], check=True, capture_output=True, text=True).stdout


def _rootfs(settings: Settings, images: Images, image: Image) -> Rootfs:
    rootfs_dir = settings.paths.rootfs_dir
    return build(image.layers, open_blob=images.store.open_blob, rootfs_dir=rootfs_dir, size_bytes=DISK_BYTES)


def _layer(settings: Settings, rootfs: Rootfs, filling: bytes) -> str:
    """A layer with a mebibyte of `filling` at that many mebibytes."""
    layer = new_id()
    path = settings.paths.layer_path(layer)
    path.parent.mkdir(parents=True, exist_ok=True)
    create_overlay(path, rootfs.image_path, DISK_BYTES)
    qemu_io(path, f"write -P {filling[0]} {filling[0]}M 1M")
    path.chmod(0o400)
    return layer


def _machine(directory: Path, memory: bytes) -> SavedMachine:
    with open(directory / saved.MEMORY, "wb") as file:
        file.truncate(len(memory))
        for at in range(0, len(memory), PAGE):
            if any(memory[at : at + PAGE]):
                os.pwrite(file.fileno(), memory[at : at + PAGE], at)
    (directory / saved.STATE).write_bytes(random.Random(2).randbytes(70_000))
    part = Part("1.0", "0" * 64)
    return saved.keep(
        directory,
        SavedMachine(
            accelerator="tcg",
            cpu_model="max",
            cpus=1,
            memory_bytes=len(memory),
            network="user",
            disks=1,
            qemu=part,
            kernel=part,
            agent=part,
        ),
    ).machine
