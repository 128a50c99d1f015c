"""What is on disk of a saved machine: whole, or an error that names the file; and whether it fits here."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from firkin.errors import Corrupt, Misfit
from firkin.linux.filesystem import is_tmpfs
from firkin.machine.saved import (
    MAX_STATE_BYTES,
    MEMORY,
    SAVED,
    STATE,
    Part,
    Saved,
    SavedMachine,
    check_fit,
    keep,
    load,
    sha256_of,
    version_of,
)

HERE = SavedMachine(
    accelerator="tcg",
    cpu_model="max",
    cpus=1,
    memory_bytes=1 << 20,
    network="user",
    disks=1,
    qemu=Part("7.2", "aa" * 32),
    kernel=Part("6.1.0", "bb" * 32),
    agent=Part("", "cc" * 32),
)


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    directory = tmp_path / "saved"
    directory.mkdir()
    (directory / MEMORY).write_bytes(bytes(HERE.memory_bytes))
    (directory / STATE).write_bytes(b"QEVM" * 100)
    return keep(directory, HERE)


def test_what_was_kept_is_what_is_loaded(saved: Saved) -> None:
    found = load(saved.dir)
    assert found == saved
    assert found.machine.state_bytes == 400
    check_fit(found, HERE)


def test_memory_in_a_tmpfs_has_all_its_room_before_a_machine_starts_from_it(tmp_path: Path) -> None:
    with TemporaryDirectory(dir="/dev/shm") as name:
        for directory in (Path(name), tmp_path):
            (directory / STATE).write_bytes(b"QEVM")
            (directory / MEMORY).touch()
            os.truncate(directory / MEMORY, HERE.memory_bytes)
        in_tmpfs, on_disk = (keep(each, HERE).memory_path.stat() for each in (Path(name), tmp_path))
    assert in_tmpfs.st_size == on_disk.st_size == HERE.memory_bytes
    assert in_tmpfs.st_blocks * 512 == HERE.memory_bytes
    assert is_tmpfs(tmp_path) or on_disk.st_blocks == 0


def test_nobody_may_write_what_was_kept(saved: Saved) -> None:
    assert {path.stat().st_mode & 0o777 for path in saved.dir.iterdir()} == {0o400}


def _set(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps(json.loads(data) | fields).encode()


DAMAGE: list[tuple[str, Callable[[bytes], bytes]]] = [
    (MEMORY, lambda data: data[:-1]),
    (MEMORY, lambda data: data + b"\0"),
    (MEMORY, lambda _: b""),
    (STATE, lambda data: data[:-1]),
    (STATE, lambda data: data + b"\0"),
    (STATE, lambda data: b"X" + data[1:]),
    (STATE, lambda data: data + bytes(MAX_STATE_BYTES)),
    (SAVED, lambda data: data[:-1]),
    (SAVED, lambda _: b""),
    (SAVED, lambda _: b"null"),
    (SAVED, lambda _: b"\xff" * 100),
    (SAVED, lambda data: data + b" " * (64 << 10) + b"x"),
    (SAVED, _set(cpus="one")),
    (SAVED, _set(accelerator="magic")),
    (SAVED, _set(more=1)),
    (SAVED, lambda data: data.replace(b'"disks"', b'"risks"')),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGE)
def test_a_file_that_is_not_what_was_kept_is_named(
    saved: Saved, name: str, damage: Callable[[bytes], bytes]
) -> None:
    path = saved.dir / name
    data = damage(path.read_bytes())
    path.unlink()
    path.write_bytes(data)
    with pytest.raises(Corrupt) as caught:
        load(saved.dir)
    assert str(path) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("name", [MEMORY, STATE, SAVED])
def test_a_file_that_is_missing_is_named(saved: Saved, name: str) -> None:
    (saved.dir / name).unlink()
    with pytest.raises(Corrupt, match=str(saved.dir / name)):
        load(saved.dir)


OTHERS = {
    "format": 2,
    "accelerator": "kvm",
    "cpu_model": "host (another)",
    "cpus": 2,
    "memory_bytes": 2 << 20,
    "network": "none",
    "cards": 1,
    "ready": 1,
    "disks": 2,
    "devices": ("entropy",),
    "qemu": Part("8.2", "dd" * 32),
    "kernel": Part("6.12", "dd" * 32),
    "agent": Part("", "dd" * 32),
}


def test_every_field_that_can_differ_is_tried() -> None:
    assert {*OTHERS, "state_bytes", "state_sha256"} == set(SavedMachine.__struct_fields__)


@pytest.mark.parametrize("field", OTHERS)
def test_a_host_that_differs_is_told_in_what(saved: Saved, field: str) -> None:
    there = msgspec.structs.replace(HERE, **{field: OTHERS[field]})
    with pytest.raises(Misfit) as caught:
        check_fit(saved, there)
    assert f"was {getattr(HERE, field)}, and would be {OTHERS[field]}" in str(caught.value)
    assert str(saved.dir) in str(caught.value)
    assert caught.value.hint
    check_fit(msgspec.structs.replace(saved, besides=(field,)), there)


def test_a_program_is_known_by_its_content_not_its_time(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_bytes(b"one")
    first = sha256_of(program, tmp_path / "cache")
    program.touch()
    assert sha256_of(program, tmp_path / "cache") == first
    program.write_bytes(b"two")
    assert sha256_of(program, tmp_path / "cache") != first


def test_a_program_that_is_called_otherwise_is_still_the_same(saved: Saved) -> None:
    check_fit(saved, msgspec.structs.replace(HERE, agent=Part("0.2", HERE.agent.sha256)))


def test_what_cannot_go_on_is_called_as_a_person_knows_it_and_has_a_way_out(saved: Saved) -> None:
    known = msgspec.structs.replace(saved, name="snapshot 'one'", otherwise="`firkin snapshot rm one`")
    with pytest.raises(
        Misfit, match=r"^snapshot 'one' cannot go on here: its number of CPUs was 1"
    ) as caught:
        check_fit(known, msgspec.structs.replace(HERE, cpus=2))
    assert caught.value.hint == "`firkin snapshot rm one`"


def test_qemu_is_asked_for_its_version_once(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    asked = tmp_path / "asked"
    program.write_text(f"#!/bin/sh\necho x >> {asked}\necho 'QEMU emulator version 7.2.1 (Debian)'\n")
    program.chmod(0o755)
    versions = [version_of(program, tmp_path / "cache") for _ in range(2)]
    assert (versions, asked.read_text()) == (["7.2.1"] * 2, "x\n")


@pytest.mark.parametrize("script", ["exit 1", "echo something else"])
def test_a_qemu_that_does_not_say_its_version_has_none(tmp_path: Path, script: str) -> None:
    program = tmp_path / "qemu"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    assert version_of(program, tmp_path / "cache") == ""
