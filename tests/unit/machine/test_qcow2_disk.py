"""Reading qcow2 chains without QEMU, with QEMU's own tools as the writer and the judge."""

from __future__ import annotations

import os
import random
import struct
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from firkin.errors import Corrupt, HostUnsupported, UsageError
from firkin.machine import create_overlay
from firkin.machine.qcow2_disk import Disk

KIB, MIB = 1 << 10, 1 << 20
SIZE = 8 * MIB


def run(*words: str | Path) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def qemu_io(disk: Path, *steps: str) -> None:
    output = run("qemu-io", *(word for step in steps for word in ("-c", step)), disk)
    assert "fail" not in output.lower(), output


def made(path: Path, backing: Path, backing_format: str, *options: str, size: int = SIZE) -> Path:
    """An overlay as qemu-img makes it, with `options` of `-o`."""
    chosen = [word for option in options for word in ("-o", option)]
    run(
        "qemu-img",
        "create",
        "-q",
        "-f",
        "qcow2",
        *chosen,
        "-b",
        backing,
        "-F",
        backing_format,
        path,
        str(size),
    )
    return path


def content(disk: Path) -> bytes:
    """All bytes of a qcow2 file and what it stands on, as QEMU reads them."""
    raw = disk.with_suffix(".judge")
    run("qemu-img", "convert", "-O", "raw", disk, raw)
    return raw.read_bytes()


def read_all(layers: list[Path], base: Path) -> bytes:
    with Disk.open(layers, base) as disk:
        return disk.read(0, disk.size_bytes)


def patterns(rng: random.Random, cluster: int) -> list[str]:
    """Writes at odd places, zeroes and discards, each as qemu-io says it; compressed ones first, since QEMU
    compresses nothing over what is there.
    """
    places = rng.sample(range(SIZE // cluster), min(SIZE // cluster, rng.randrange(6)))
    steps = [f"write -c -P {rng.randrange(1, 256)} {place * cluster} {cluster}" for place in places]
    for _ in range(rng.randrange(3, 14)):
        at, size = (512 * rng.randrange(1, SIZE // 1024) for _ in "ab")
        size = min(size, SIZE - at, 5 * cluster // 512 * 512)
        whole = rng.randrange(SIZE // cluster) * cluster
        kinds = [f"write -P {rng.randrange(1, 256)} {at} {size}", f"write -z {at} {size}"]
        steps.append(rng.choice([*kinds, f"discard {whole} {cluster}"]))
    return steps


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.raw"
    path.write_bytes(random.Random(1).randbytes(SIZE // 2))
    return path


@pytest.mark.parametrize(
    ("cluster", "options", "seed"),
    [
        (64 * KIB, (), 1),
        (64 * KIB, (), 2),
        (64 * KIB, ("compression_type=zstd",), 3),
        (64 * KIB, ("lazy_refcounts=on",), 4),
        (512, (), 5),
        (4 * KIB, (), 6),
        (2 * MIB, ("compression_type=zstd",), 7),
    ],
)
def test_a_chain_reads_as_qemu_reads_it(
    base: Path, tmp_path: Path, cluster: int, options: tuple[str, ...], seed: int
) -> None:
    rng = random.Random(seed)
    layers: list[Path] = []
    for number in range(4):
        below, kind = (layers[0], "qcow2") if layers else (base, "raw")
        layer = made(tmp_path / f"{number}.qcow2", below, kind, f"cluster_size={cluster}", *options)
        qemu_io(layer, *patterns(rng, cluster))
        layers.insert(0, layer)
        assert read_all(layers, base) == content(layer)


def test_any_range_reads_as_the_same_bytes_of_the_whole(base: Path, tmp_path: Path) -> None:
    lower = made(tmp_path / "lower.qcow2", base, "raw")
    qemu_io(lower, "write -P 1 60k 80k", "write -z 1M 64k", "write -P 2 7M 1M")
    upper = made(tmp_path / "upper.qcow2", lower, "qcow2")
    qemu_io(upper, "write -P 3 100k 1k", "write -P 4 3M 300k")
    whole, rng = content(upper), random.Random(2)
    with Disk.open([upper, lower], base) as disk:
        assert disk.size_bytes == SIZE
        for _ in range(500):
            at = rng.randrange(SIZE)
            size = min(rng.choice([0, 1, 511, 4096, 70_000, 1_000_000]), SIZE - at)
            assert disk.read(at, size) == whole[at : at + size]
        for at, size in ((-1, 1), (SIZE, 1), (0, SIZE + 1), (0, -1)):
            with pytest.raises(ValueError, match="of a disk of"):
                disk.read(at, size)


def test_a_disk_without_layers_is_its_image(base: Path) -> None:
    assert read_all([], base) == base.read_bytes()


def test_a_smaller_backing_ends_in_zeros_though_what_lies_below_it_goes_on(
    base: Path, tmp_path: Path
) -> None:
    short = made(tmp_path / "short.qcow2", base, "raw", size=MIB)
    tall = made(tmp_path / "tall.qcow2", short, "qcow2")
    assert read_all([tall, short], base) == content(tall)
    assert not any(content(tall)[MIB:])


def test_our_own_overlay_over_a_layer_names_it_and_is_sound_to_qemu(base: Path, tmp_path: Path) -> None:
    lower, upper = tmp_path / "lower.qcow2", tmp_path / "upper.qcow2"
    create_overlay(lower, base, SIZE)
    qemu_io(lower, "write -P 5 1M 2M")
    create_overlay(upper, lower, SIZE, backing_format="qcow2")
    qemu_io(upper, "write -P 6 2M 64k", "read -P 5 1M 1M")
    assert "No errors were found" in run("qemu-img", "check", upper)
    assert '"backing-filename-format": "qcow2"' in run("qemu-img", "info", "--output=json", upper)
    assert read_all([upper, lower], base) == content(upper)


def test_our_own_overlay_is_never_smaller_than_the_layer_below(base: Path, tmp_path: Path) -> None:
    lower = tmp_path / "lower.qcow2"
    create_overlay(lower, base, SIZE)
    with pytest.raises(UsageError, match="cannot hold"):
        create_overlay(tmp_path / "upper.qcow2", lower, SIZE - 64 * KIB, backing_format="qcow2")
    with pytest.raises(Corrupt, match="not a qcow2 file"):
        create_overlay(tmp_path / "upper.qcow2", base, SIZE, backing_format="qcow2")
    assert not (tmp_path / "upper.qcow2").exists()


def test_a_layer_lists_what_it_has_and_nothing_else(base: Path, tmp_path: Path) -> None:
    layer = made(tmp_path / "layer.qcow2", base, "raw", size=(2 << 30) + 512)
    qemu_io(layer, "write 100k 1", "write -z 1M 64k", f"write {600 * MIB} 128k", f"write {2 << 30} 512")
    with Disk.open([layer], base) as disk:
        assert list(disk.layers[0].allocated()) == [
            (64 * KIB, 64 * KIB),
            (MIB, 64 * KIB),
            (600 * MIB, 128 * KIB),
            (2 << 30, 512),
        ]


# --- what a hostile VMM may leave -------------------------------------------------------------------------


def changed(at: int, form: str, value: int) -> Callable[[bytearray], None]:
    return lambda raw: struct.pack_into(form, raw, at, value)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (changed(0, ">I", 0), "not a qcow2 file"),
        (changed(4, ">I", 2), "version 3"),
        (changed(20, ">I", 22), "clusters of"),
        (changed(20, ">I", 63), "clusters of"),
        (changed(24, ">Q", 1 << 62), "claims"),
        (changed(32, ">I", 1), "encrypted"),
        (changed(36, ">I", 0), "L1 table"),
        (changed(40, ">Q", 1 << 40), "L1 table"),
        (changed(40, ">Q", 512), "L1 table"),
        (changed(72, ">Q", 2), "marked as corrupt"),
        (changed(72, ">Q", 4), "another file"),
        (changed(72, ">Q", 8), "compression type"),
        (changed(72, ">Q", 16), "extended L2"),
        (changed(72, ">Q", 1 << 40), "does not know"),
        (lambda raw: raw.clear(), "not a qcow2 file"),
    ],
)
def test_a_header_that_cannot_be_obeyed_is_refused_by_name(
    base: Path, tmp_path: Path, damage: Callable[[bytearray], None], words: str
) -> None:
    layer = made(tmp_path / "layer.qcow2", base, "raw")
    raw = bytearray(layer.read_bytes())
    damage(raw)
    layer.write_bytes(raw)
    with pytest.raises(Corrupt, match=words) as caught:
        read_all([layer], base)
    assert str(layer) in str(caught.value)


def test_a_backing_file_that_the_header_names_is_never_opened(base: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * MIB)
    layer = made(tmp_path / "layer.qcow2", secret, "raw")
    assert read_all([layer], base)[: SIZE // 2] == base.read_bytes()


def test_a_link_or_a_fifo_in_a_layers_place_is_refused_at_once(base: Path, tmp_path: Path) -> None:
    link, fifo = tmp_path / "link.qcow2", tmp_path / "fifo.qcow2"
    link.symlink_to(made(tmp_path / "layer.qcow2", base, "raw"))
    os.mkfifo(fifo)
    with pytest.raises(HostUnsupported, match=r"link\.qcow2"):
        read_all([link], base)
    with pytest.raises(Corrupt, match="not a regular file"):
        read_all([fifo], base)


def test_tables_that_are_used_twice_are_refused(base: Path, tmp_path: Path) -> None:
    layer = made(tmp_path / "layer.qcow2", base, "raw", size=1 << 30)
    qemu_io(layer, "write 0 64k", f"write {600 * MIB} 64k")
    raw = bytearray(layer.read_bytes())
    (l1_at,) = struct.unpack_from(">Q", raw, 40)
    raw[l1_at + 8 : l1_at + 16] = raw[l1_at : l1_at + 8]
    layer.write_bytes(raw)
    with pytest.raises(Corrupt, match="twice"):
        read_all([layer], base)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_layer_is_read_or_corrupt_and_nothing_else(base: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    options = ("compression_type=zstd",) if seed % 2 else ()
    layer = made(tmp_path / "layer.qcow2", base, "raw", "cluster_size=4k", *options)
    qemu_io(
        layer,
        "write -P 1 0 100k",
        "write -z 200k 40k",
        *(f"write -c -P 9 {at}k 4k" for at in range(400, 600, 8)),
    )
    sound = layer.read_bytes()
    (l1_at,) = struct.unpack_from(">Q", sound, 40)
    (l2_at,) = struct.unpack_from(">Q", sound, l1_at)
    places = [
        *range(112),
        *range(l1_at, l1_at + 64),
        *range(l2_at & (1 << 56) - 512, (l2_at & (1 << 56) - 512) + 1200),
    ]
    outcomes = set()
    for _ in range(300):
        raw = bytearray(sound)
        for _ in range(rng.randrange(1, 4)):
            at = rng.choice(places) if rng.random() < 0.8 else rng.randrange(len(raw))
            raw[at] ^= 1 << rng.randrange(8)
        if rng.random() < 0.1:
            del raw[rng.randrange(len(raw)) :]
        layer.write_bytes(raw)
        try:
            with Disk.open([layer], base) as disk:
                runs = list(disk.layers[0].allocated())
                assert all(size > 0 for _, size in runs)
                assert all(at + size < after for (at, size), (after, _) in pairwise(runs))
                assert len(disk.read(0, min(SIZE, disk.size_bytes))) == min(SIZE, disk.size_bytes)
            outcomes.add("read")
        except Corrupt:
            outcomes.add("corrupt")
    assert outcomes == {"read", "corrupt"}
