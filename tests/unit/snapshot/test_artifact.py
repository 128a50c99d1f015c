"""Snapshots that travel: what arrives is what was sent, and what somebody altered on the way is refused."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from msgspec import structs

from firkin.container.layers import present
from firkin.container.restart import RestartPolicy
from firkin.container.spec import Bind, ContainerSpec
from firkin.errors import (
    Corrupt,
    DigestMismatch,
    FirkinError,
    HostUnsupported,
    ImageNotFound,
    Misfit,
    NameInUse,
    UnsupportedMediaType,
    UsageError,
)
from firkin.events import subscribed
from firkin.machine import saved
from firkin.machine.qcow2_header import HEADER
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.pytest.home import fresh_home
from firkin.settings import Settings
from firkin.snapshot import record
from firkin.snapshot.pack import pack
from firkin.snapshot.record import Snapshot
from firkin.snapshot.unpack import unpack
from firkin.store.store import Store
from tests.support.snapshots import MIB, PAGE, make_snapshot, noisy_memory

MEMORY = noisy_memory(20 * MIB)


@pytest.fixture
async def snapshot(settings: Settings) -> Snapshot:
    return await make_snapshot(settings, memory=MEMORY)


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.paths)


@pytest.fixture
def packed(settings: Settings, store: Store, snapshot: Snapshot) -> Descriptor:
    return pack(settings.paths, store, snapshot)


def test_a_snapshot_arrives_as_it_was(
    settings: Settings, store: Store, snapshot: Snapshot, packed: Descriptor
) -> None:
    with elsewhere(store, packed) as (there, their_store):
        arrived = unpack(there.paths, their_store, packed, name="arrived")
        directory = there.paths.snapshot_dir(arrived.id)
        assert (directory / "memory").read_bytes() == MEMORY
        assert (directory / "memory").stat().st_blocks * 512 < len(MEMORY) * 0.6
        state = settings.paths.snapshot_dir(snapshot.id) / "state"
        assert (directory / "state").read_bytes() == state.read_bytes()
        assert saved.load(directory).machine == snapshot.machine
        assert sorted(os.listdir(directory)) == ["memory", "saved.json", "snapshot.json", "state"]
        assert record.snapshots(there.paths) == [arrived]
        spec = (arrived.spec, arrived.name, arrived.parent, len(arrived.layers))
        assert spec == (snapshot.spec, "arrived", "", 2)
        image = there.paths.rootfs_dir / snapshot.spec.rootfs_key / "image.ext4"
        assert contents_alike(image, settings.paths.rootfs_dir / snapshot.spec.rootfs_key / "image.ext4")
        read = chain(
            there.paths.layer_path(arrived.layers[0]), there.paths.layer_path(arrived.layers[1]), image
        )
        for filling, at in ((0x11, "17M"), (0x22, "34M")):
            out = subprocess.run(["qemu-io", "--image-opts", "-r", "-c", f"read -P {filling} {at} 1M", read],
                                 check=True, capture_output=True, text=True).stdout  # fmt: skip
            assert "read 1048576/1048576" in out
            assert "failed" not in out


def test_the_same_snapshot_gives_the_same_bytes(
    settings: Settings, store: Store, snapshot: Snapshot, packed: Descriptor
) -> None:
    assert pack(settings.paths, store, snapshot) == packed


async def test_what_two_snapshots_share_is_one_blob(settings: Settings, store: Store) -> None:
    step = 16 * MIB
    changed = MEMORY[:step] + b"\1" * PAGE + MEMORY[step + PAGE :]
    first = await make_snapshot(settings, "first", memory=MEMORY)
    second = await make_snapshot(settings, "second", memory=changed)
    one, other = (
        {layer["digest"] for layer in manifest(store, pack(settings.paths, store, each))["layers"]}
        for each in (first, second)
    )
    assert len(one - other) == len(other - one) == 1


async def test_memory_that_is_zero_or_recurs_takes_no_place(settings: Settings, store: Store) -> None:
    noise = os.urandom(PAGE)
    memory = bytes(32 * MIB) + noise * (16 * MIB // PAGE)
    snapshot = await make_snapshot(settings, memory=memory)
    layers = manifest(store, pack(settings.paths, store, snapshot))["layers"]
    (part,) = [layer for layer in layers if "memory" in layer["mediaType"]]
    assert part["size"] < 10_000


def test_the_memory_can_be_read_by_whoever_reads_the_page_about_it(
    store: Store, packed: Descriptor, snapshot: Snapshot
) -> None:
    """The format of docs/design/snapshots.md, read with nothing of ours."""
    document = manifest(store, packed)
    config = json.loads(store.read_blob(Digest(document["config"]["digest"])))
    memory = bytearray(config["memory"]["size_bytes"])
    for part in config["memory"]["parts"]:
        blob = store.blob_path(Digest(part["digest"])).read_bytes()
        content = zstandard.ZstdDecompressor().decompressobj().decompress(blob)
        assert content[:16] == b"firkin memory 1\n"
        pages, count = struct.unpack_from("<II", content, 16)
        numbers = struct.unpack_from(f"<{pages}I", content, 24)
        start = 24 + 4 * pages
        assert len(content) == start + count * 4096
        for page, number in enumerate(numbers):
            if number:
                at = part["number"] * config["memory"]["part_bytes"] + page * 4096
                memory[at : at + 4096] = content[start + (number - 1) * 4096 :][:4096]
    assert bytes(memory) == MEMORY


async def test_a_snapshot_of_the_disk_only_travels_too(settings: Settings, store: Store) -> None:
    snapshot = await make_snapshot(settings)
    descriptor = pack(settings.paths, store, snapshot)
    with elsewhere(store, descriptor) as (there, their_store):
        arrived = unpack(there.paths, their_store, descriptor)
        assert (arrived.machine, arrived.name) == (None, "frozen")
        assert os.listdir(there.paths.snapshot_dir(arrived.id)) == ["snapshot.json"]
        again = pack(there.paths, their_store, arrived)
        ours, theirs = manifest(store, descriptor), manifest(their_store, again)
        assert ours["layers"] == theirs["layers"]


def test_the_host_that_it_comes_from_is_not_told(
    settings: Settings, store: Store, packed: Descriptor, snapshot: Snapshot
) -> None:
    for layer in manifest(store, packed)["layers"]:
        if "disk" in layer["mediaType"]:
            content = zstandard.ZstdDecompressor().decompress(
                store.read_blob(Digest(layer["digest"]), 1 << 30)
            )
            assert settings.data_dir.encode() not in content
            assert struct.unpack_from(">QI", content, 8) == (0, 0)


def test_a_name_that_is_taken_and_one_that_is_none_are_refused_before_the_work(
    settings: Settings, store: Store, packed: Descriptor
) -> None:
    begun: list[str] = []
    with subscribed(lambda event: begun.append(event.name)):
        with pytest.raises(NameInUse, match="'frozen' is in use"):
            unpack(settings.paths, store, packed)
        with pytest.raises(UsageError, match="is not a snapshot name"):
            unpack(settings.paths, store, packed, name="../x")
    assert begun == []


# --- what somebody altered --------------------------------------------------------------------------------


def refused(
    settings: Settings, store: Store, descriptor: Descriptor, error: type[FirkinError], words: str
) -> None:
    """Unpack, which must fail so and say so, and keep nothing."""
    before = layers_there(settings)
    with pytest.raises(error, match=words) as caught:
        unpack(settings.paths, store, descriptor, name="altered")
    assert caught.value.hint
    assert [each.name for each in record.snapshots(settings.paths)] == ["frozen"]
    assert len(os.listdir(settings.paths.snapshots_dir)) == 1
    assert layers_there(settings) == before


def layers_there(settings: Settings) -> list[str]:
    return sorted(os.listdir(settings.paths.disks_dir))


def process_of(config: dict[str, Any]) -> dict[str, Any]:
    process: dict[str, Any] = config["snapshot"]["spec"]["process"]
    return process


ALTERATIONS: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (lambda c: c["memory"].update(size_bytes=48 * MIB), "not of the size that its machine had"),
    (lambda c: c["memory"].update(part_bytes=32 * MIB), "has parts of 33554432"),
    (lambda c: c["memory"]["parts"].reverse(), "parts of its memory overlap"),
    (
        lambda c: c["memory"]["parts"].append({"number": 3, "digest": c["memory"]["parts"][0]["digest"]}),
        "or are beyond its end",
    ),
    (lambda c: c["memory"]["parts"][0].update(number=256), "cannot be read"),
    (lambda c: c["memory"]["parts"][0].update(digest="sha256:" + "0" * 64), "its manifest has no"),
    (lambda c: c["memory"]["parts"][0].update(digest=c["disks"][0]["digest"]), "its manifest has no"),
    (lambda c: c.update(memory=None), "a part of a machine only"),
    (lambda c: c["state"].update(size_bytes=1 << 30), "its state is not of the size"),
    (lambda c: c["disks"].pop(), "it has 1 layers for a disk of 2"),
    (lambda c: c["snapshot"].update(layers=["../../x"] * 2), "cannot be read"),
    (lambda c: c["snapshot"].update(container="0" * 64), "of another container"),
    (lambda c: c["image"].update(digest="sha256:" + "0" * 64), "its image is not the one"),
    (lambda c: c["image"].update(mediaType="x/y"), "of type 'x/y'"),
    (lambda c: c["snapshot"].update(container_name="\x1b[2J"), "is not a container name"),
    (lambda c: c["snapshot"]["spec"].update(name="../x"), "is not a container name"),
    (lambda c: c["snapshot"]["spec"].update(image="\x1b[2J"), "an image with an impossible name"),
    (lambda c: c["snapshot"]["spec"].update(cpus=1 << 20), "has 1048576 for cpus"),
    (lambda c: c["snapshot"]["spec"].update(memory_bytes=-1), "has -1 for memory_bytes"),
    (lambda c: c["snapshot"]["spec"].update(stop_timeout_s=-1), "has -1.0 for stop_timeout_s"),
    (lambda c: c["snapshot"].update(proc=0), "has 0 for proc"),
    (lambda c: c["snapshot"].update(proc=1 << 32), "has 4294967296 for proc"),
    (lambda c: c["snapshot"].update(streams={"stdout": -1}), "has -1 for streams.stdout"),
    (lambda c: process_of(c).update(policy={"umask": 0o1000}), "has 512 for umask"),
    (lambda c: process_of(c).update(policy={"oom_score_adj": -1001}), "has -1001 for oom_score_adj"),
    (lambda c: process_of(c).update(policy={"scheduler": {"policy": "X"}}), "for scheduler"),
    (lambda c: process_of(c).update(terminal={"rows": 1, "cols": 1 << 16}), "has 65536 for terminal.cols"),
    (
        lambda c: c["snapshot"].update(streams={"stderr": 1 << 63}),
        "has 9223372036854775808 for streams.stderr",
    ),
]


def test_a_config_that_cannot_be_meant_is_refused(
    settings: Settings, store: Store, packed: Descriptor
) -> None:
    for change, words in ALTERATIONS:
        refused(settings, store, altered(store, packed, change), Corrupt, words)


def test_a_disk_that_cannot_stand_here_is_refused_with_the_field(
    settings: Settings, store: Store, packed: Descriptor, snapshot: Snapshot
) -> None:
    chain = snapshot.spec.rootfs_key[:64]
    keys: list[tuple[str, type[FirkinError], str]] = [
        ("0" * 64 + "-67108864-1", Misfit, "the chain id of its image was 0000"),
        (f"{chain}-67108864-99", Misfit, "the writer version of its image was 99, and would be 1"),
        ("../../etc", Corrupt, "which is no disk"),
        (f"{chain}-1-1", UsageError, "1"),
    ]
    for key, error, words in keys:
        forged = altered(store, packed, lambda config: config["snapshot"]["spec"].update(rootfs_key=key))  # noqa: B023
        refused(settings, store, forged, error, words)


def test_a_newer_firkin_s_snapshot_is_refused_as_such(
    settings: Settings, store: Store, packed: Descriptor
) -> None:
    newer = altered(store, packed, lambda config: config.update(version=2, memory="unheard of"))
    refused(settings, store, newer, HostUnsupported, "has format 2.1; this firkin knows 1.1")


def test_directories_of_a_host_are_not_mounted_and_its_ports_are_not_opened(
    settings: Settings, store: Store, packed: Descriptor, snapshot: Snapshot
) -> None:
    bind = {"source": "/etc", "target": "/mnt"}
    binding = altered(store, packed, lambda config: config["snapshot"]["spec"].update(binds=[bind]))
    refused(settings, store, binding, UsageError, "with directories of its host: /etc")
    shared = altered(store, packed, lambda config: config["snapshot"]["spec"].update(isolation="namespace"))
    refused(settings, store, shared, UsageError, "in namespaces of its host")
    kept = altered(store, packed, lambda config: config["snapshot"]["spec"].update(id_mode={"kind": "auto"}))
    refused(settings, store, kept, UsageError, "in namespaces of its host")
    bound = structs.replace(snapshot.spec, binds=(Bind(source="/etc", target="/mnt"),))
    with pytest.raises(UsageError, match="snapshot frozen is of a container with directories"):
        pack(settings.paths, store, structs.replace(snapshot, spec=bound))
    port = {"guest_port": 80, "host_port": 22, "host_ip": "0.0.0.0"}
    docker = {"host": "/run/docker.sock", "guest": "/run/docker.sock"}
    member = {"is": "member", "pod": "f" * 64}
    reaching = {"ports": [port], "sockets": [docker], "restart": {"name": "always"}, "pod": member}
    publishing = altered(store, packed, lambda config: config["snapshot"]["spec"].update(reaching))
    told: list[str] = []
    with subscribed(lambda event: told.append(event.name)):
        arrived = unpack(settings.paths, store, publishing, name="quiet")
    assert (arrived.spec.ports, arrived.spec.sockets) == ((), ())
    assert (arrived.spec.restart, arrived.spec.pod) == (RestartPolicy(), None)
    assert {"snapshot.ports_left_out", "snapshot.sockets_left_out"} <= set(told)


def test_a_snapshot_from_the_future_is_of_now(settings: Settings, store: Store, packed: Descriptor) -> None:
    ahead = altered(store, packed, lambda config: config["snapshot"].update(created_ns=1 << 62))
    assert unpack(settings.paths, store, ahead, name="ahead").created_ns <= time.time_ns()


def test_an_image_is_no_snapshot(settings: Settings, store: Store, snapshot: Snapshot) -> None:
    content = store.read_blob(Digest(snapshot.spec.image_digest))
    image = Descriptor("", Digest.of(content), len(content))
    with pytest.raises(UnsupportedMediaType, match="is not a snapshot"):
        unpack(settings.paths, store, image)


# --- blobs ------------------------------------------------------------------------------------------------


def memory_part(table: list[int], contents: bytes, *, count: int | None = None) -> bytes:
    number = len(contents) // PAGE if count is None else count
    return struct.pack(f"<16sII{len(table)}I", b"firkin memory 1\n", len(table), number, *table) + contents


PAGES = 16 * MIB // PAGE
ONES = b"\1" * PAGE
TWOS = b"\2" * PAGE


PARTS: list[tuple[bytes, str]] = [
    (b"", "is too short"),
    (b"\0" * 64, "no memory of a machine"),
    (memory_part([1], ONES), "1 contents for 1 pages, where 4096"),
    (memory_part([1] * (PAGES + 1), ONES), "where 4096 belong"),
    (memory_part([1] * PAGES, ONES, count=PAGES + 1), "4097 contents for 4096 pages"),
    (memory_part([1] * PAGES, ONES + b"!"), "bytes, not"),
    (memory_part([1] * PAGES, ONES[:-1], count=1), "bytes, not"),
    (memory_part([2] * PAGES, ONES + TWOS), "a page has the content 2, before 1 was"),
    (memory_part([1, 3] * (PAGES // 2), ONES + TWOS), "a page has the content 3, before 2 was"),
    (memory_part([1] * PAGES, ONES + TWOS), "1 of its contents belong to no page"),
    (bytes(32 * MIB), "uncompresses to more than"),
]


def test_a_memory_that_is_not_what_it_should_be_is_refused(
    settings: Settings, store: Store, packed: Descriptor
) -> None:
    for content, words in PARTS:
        refused(
            settings, store, replaced(store, packed, "memory", zstandard.compress(content)), Corrupt, words
        )


def test_blobs_that_are_no_zstd_or_cut_short_are_refused(
    settings: Settings, store: Store, packed: Descriptor
) -> None:
    for kind in ("memory", "state", "disk"):
        (layer, *_) = [each for each in manifest(store, packed)["layers"] if kind in each["mediaType"]]
        whole = store.read_blob(Digest(layer["digest"]), 1 << 30)
        for content in (b"noise" * 100, whole[: len(whole) // 2], b""):
            refused(settings, store, replaced(store, packed, kind, content), Corrupt, "blob sha256:")


def test_a_bomb_is_not_blown_up(settings: Settings, store: Store, packed: Descriptor) -> None:
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(1 << 30))
    for kind in ("memory", "state", "disk"):
        refused(settings, store, replaced(store, packed, kind, bomb), Corrupt, "uncompresses to more than")


def test_a_blob_that_rotted_in_the_store_is_refused(
    settings: Settings, store: Store, packed: Descriptor
) -> None:
    (layer, *_) = [each for each in manifest(store, packed)["layers"] if "memory" in each["mediaType"]]
    path = store.blob_path(Digest(layer["digest"]))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b"!")
    refused(settings, store, packed, DigestMismatch, "has changed on the disk")
    path.unlink()
    refused(settings, store, packed, ImageNotFound, "is not in the store")


def test_a_state_that_is_not_the_one_that_was_saved_is_refused(
    settings: Settings, store: Store, packed: Descriptor
) -> None:
    other = zstandard.compress(bytes(70_000))
    refused(settings, store, replaced(store, packed, "state", other), Corrupt, "not the one that was saved")


def header(**fields: int) -> Callable[[bytearray], None]:
    names = ["magic", "version", "backing_at", "backing_size", "cluster_bits", "size", "encryption",
             "l1_entries", "l1_at", "refcounts_at", "refcount_clusters", "snapshots", "snapshots_at",
             "incompatible", "compatible", "autoclear", "refcount_order", "length"]  # fmt: skip

    def change(disk: bytearray) -> None:
        values = dict(zip(names, HEADER.unpack_from(disk), strict=True)) | fields
        HEADER.pack_into(disk, 0, *values.values())

    return change


def backing_file(disk: bytearray) -> None:
    header(backing_at=512, backing_size=11)(disk)
    disk[512:523] = b"/etc/passwd"


def extension(disk: bytearray) -> None:
    struct.pack_into(">II8s", disk, 104, 0x44415441, 8, b"/etc/pas")


HEADERS: list[tuple[Callable[[bytearray], None], str]] = [
    (backing_file, "names a backing file"),
    (extension, "says more than a disk has to"),
    (header(incompatible=4), "keeps its data in another file"),
    (header(incompatible=1 << 20), "features that firkin does not know"),
    (header(encryption=1), "is encrypted"),
    (header(snapshots=1, snapshots_at=1 << 16), "snapshots of its own"),
    (header(autoclear=1), "says more than a disk has to"),
    (header(size=1 << 40), "L1 table|of 1099511627776 bytes"),
    (header(size=128 * MIB), "a disk's layer is of 134217728 bytes, more than 67108864"),
    (header(l1_at=1 << 40), "an L1 table of"),
    (header(version=2), "not a qcow2 file of version 3"),
]


def test_a_disk_that_reaches_elsewhere_is_refused(
    settings: Settings, store: Store, packed: Descriptor
) -> None:
    (layer, *_) = [each for each in manifest(store, packed)["layers"] if "disk" in each["mediaType"]]
    whole = zstandard.ZstdDecompressor().decompress(store.read_blob(Digest(layer["digest"]), 1 << 30))
    for change, words in HEADERS:
        disk = bytearray(whole)
        change(disk)
        forged = replaced(store, packed, "disk", zstandard.compress(bytes(disk)))
        refused(settings, store, forged, Corrupt, words)


async def test_a_layer_of_this_host_is_not_replaced_by_one_that_claims_its_id(
    settings: Settings, store: Store, packed: Descriptor, snapshot: Snapshot
) -> None:
    before = [path.read_bytes() for path in present(settings.paths, snapshot.layers)]
    arrived = unpack(settings.paths, store, packed, name="arrived")
    assert not set(arrived.layers) & set(snapshot.layers)
    assert [path.read_bytes() for path in present(settings.paths, snapshot.layers)] == before
    inode = settings.paths.layer_path(arrived.layers[0]).stat().st_ino
    again = unpack(settings.paths, store, packed, name="again")
    assert again.layers == arrived.layers
    assert settings.paths.layer_path(arrived.layers[0]).stat().st_ino == inode


# --- tools ------------------------------------------------------------------------------------------------


class elsewhere:
    """Another host, to whose store everything of the artifact was brought, and nothing else."""

    def __init__(self, store: Store, descriptor: Descriptor) -> None:
        self._store = store
        self._descriptor = descriptor

    def __enter__(self) -> tuple[Settings, Store]:
        self._home = fresh_home()
        settings = Settings.load(self._home.__enter__().environ())
        store = Store(settings.paths)
        document = manifest(self._store, self._descriptor)
        digests = [each["digest"] for each in (document["config"], *document["layers"])]
        for digest in (self._descriptor.digest, *map(Digest, digests)):
            assert store.put_blob(self._store.read_blob(digest, 1 << 30)) == digest
        return settings, store

    def __exit__(self, *error: Any) -> None:
        self._home.__exit__(*error)


def manifest(store: Store, descriptor: Descriptor) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(store.read_blob(descriptor.digest))
    assert document["artifactType"] == "application/vnd.firkin.snapshot.v1"
    return document


def altered(store: Store, packed: Descriptor, change: Callable[[dict[str, Any]], None]) -> Descriptor:
    """The artifact with another config."""
    document = manifest(store, packed)
    config = json.loads(store.read_blob(Digest(document["config"]["digest"])))
    change(config)
    content = json.dumps(config).encode()
    document["config"].update(digest=str(store.put_blob(content)), size=len(content))
    return put(store, document)


def replaced(store: Store, packed: Descriptor, kind: str, blob: bytes) -> Descriptor:
    """The artifact with another blob in place of its first one of that kind; the config fits, as a forger's
    would.
    """
    document = manifest(store, packed)
    layer = next(each for each in document["layers"] if kind in each["mediaType"])
    old, new = layer["digest"], str(store.put_blob(blob))
    layer.update(digest=new, size=len(blob))
    config = store.read_blob(Digest(document["config"]["digest"])).replace(old.encode(), new.encode())
    document["config"].update(digest=str(store.put_blob(config)), size=len(config))
    return put(store, document)


def put(store: Store, document: dict[str, Any]) -> Descriptor:
    content = json.dumps(document).encode()
    return Descriptor(document["mediaType"], store.put_blob(content), len(content))


def chain(top: Path, below: Path, image: Path) -> str:
    """The disk as QEMU is told it: who stands on whom is said, and not read from the files."""
    return (
        f"driver=qcow2,file.filename={top},backing.driver=qcow2,backing.file.filename={below},"
        f"backing.backing.driver=raw,backing.backing.file.filename={image}"
    )


def contents_alike(one: Path, other: Path) -> bool:
    def digest(path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return digest(one) == digest(other)


def test_the_records_are_the_ones_that_somebody_thought_of() -> None:
    """What comes to be in a record travels with it: may it be obeyed, coming from elsewhere? (arrival.py)"""
    assert " ".join(Snapshot.__struct_fields__) == (
        "id name created_ns container container_name spec layers parent proc streams machine version"
    )
    assert " ".join(ContainerSpec.__struct_fields__) == (
        "id name image image_digest rootfs_key process created_ns hostname cpus memory_bytes disk_bytes "
        "shm_bytes limits knobs read_only protected network ports binds tmpfs sockets storage root "
        "stop_signal stop_timeout_s auto_remove detached restart health labels pod isolation id_map "
        "id_mode storage_driver snapshot cold"
    )
