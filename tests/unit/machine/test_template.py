"""Which template a machine is forked from, and which of them are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firkin.events import Event, subscribed
from firkin.machine import prepared as prepared_module
from firkin.machine import template, template_maker
from firkin.machine.kernel import Kernel
from firkin.machine.knobs import Knobs
from firkin.machine.launch import Vmm
from firkin.machine.origin import Cold
from firkin.machine.prepared import Prepared
from firkin.machine.qemu import devices
from firkin.machine.saved import MEMORY, SAVED, STATE, keep
from firkin.machine.spec import Disk, MachineSpec, PublishedPort, Share
from firkin.settings import Settings
from tests.unit.machine.test_saved import HERE

SPEC = MachineSpec(name="web", disks=(Disk(path=Path("/disk"), format="qcow2"),))
OLD_S = 1_600_000_000


def _settings(**more: Any) -> Settings:
    return Settings.load({"HOME": "/nobody"}, **more)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    for name in ("qemu", "vmlinux", "initramfs", "agent", "kernel"):
        (tmp_path / name).write_text(name)
    cold = Cold(tmp_path / "vmlinux", tmp_path / "initramfs", "quiet")
    kernel = Kernel(tmp_path / "kernel", "6.1", tmp_path, "distribution")
    return Prepared(Vmm(str(tmp_path / "qemu"), "tcg"), cold, kernel, tmp_path / "agent", tmp_path)


# --- the key -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["qemu", "vmlinux", "initramfs", "agent"])
def test_another_program_is_another_template(prepared: Prepared, tmp_path: Path, name: str) -> None:
    before = prepared.key(SPEC)
    assert prepared.key(SPEC) == before
    (tmp_path / name).write_text("another")
    assert prepared.key(SPEC) != before


def _replaced(value: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(value, **fields)


def test_another_machine_is_another_template(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [prepared.key(SPEC)]
    keys += [
        prepared.key(_replaced(SPEC, **{name: value}))
        for name, value in [
            ("cpus", 2),
            ("memory_bytes", 512 << 20),
            ("network", "none"),
            ("disks", ()),
            ("knobs", Knobs(entropy=True)),
        ]
    ]
    keys.append(_replaced(prepared, cold=_replaced(prepared.cold, cmdline="loud")).key(SPEC))
    keys.append(_replaced(prepared, vmm=_replaced(prepared.vmm, accelerator="kvm")).key(SPEC))
    monkeypatch.setitem(devices.CPU_MODELS, "tcg", "another")
    keys.append(prepared.key(SPEC))
    (tmp_path / "boot_id").write_text("after a power cut")
    monkeypatch.setattr(prepared_module, "_BOOT_ID", str(tmp_path / "boot_id"))
    keys.append(prepared.key(SPEC))
    assert len(set(keys)) == len(keys)


def test_what_a_fork_is_given_is_not_in_the_key(prepared: Prepared) -> None:
    ports = PublishedPort.parse("8080:80")
    disk = Disk(path=Path("/else"), format="qcow2", layers=(Path("/layer"),), backing=Path("/image"))
    other = _replaced(SPEC, name="db", ports=ports, disks=(disk,), boot_timeout_s=1.0)
    assert prepared.key(other) == prepared.key(SPEC)


def test_the_way_to_a_program_is_not_in_the_key(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "agent")
    assert _replaced(prepared, agent=tmp_path / "link").key(SPEC) == prepared.key(SPEC)


@pytest.mark.parametrize(
    ("spec", "settings", "reason"),
    [
        (SPEC, _settings(templates=0), "turned off"),
        (_replaced(SPEC, shares=(Share(tag="s", source=Path("/")),)), _settings(), "shared with the host"),
        (_replaced(SPEC, disks=()), _settings(), "0 disks"),
        (SPEC, _settings(), ""),
    ],
)
def test_what_no_template_can_hold_has_a_reason(spec: MachineSpec, settings: Settings, reason: str) -> None:
    assert reason in template.why_not(spec, settings)
    assert bool(template.why_not(spec, settings)) == bool(reason)


# --- what is kept ------------------------------------------------------------------------------------------


def make(directory: Path, name: str, *, age_s: int = 0, size: int = 1 << 20) -> Path:
    path = directory / name
    path.mkdir(parents=True)
    (path / MEMORY).write_bytes(os.urandom(size))
    (path / STATE).write_bytes(b"state")
    keep(path, _replaced(HERE, memory_bytes=size))
    os.utime(path, (OLD_S - age_s, OLD_S - age_s))
    return path


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_the_templates_that_were_not_used_for_longest_go_first(tmp_path: Path) -> None:
    for age in range(6):
        make(tmp_path, f"t{age}", age_s=age)
    assert template.prune(tmp_path, _settings(templates=3)) == 3
    assert names(tmp_path) == {"t0", "t1", "t2"}
    assert template.prune(tmp_path, _settings(templates=3)) == 0


def test_templates_take_no_more_of_the_disk_than_they_may(tmp_path: Path) -> None:
    for age in range(6):
        make(tmp_path, f"t{age}", age_s=age)
    template.prune(tmp_path, _settings(templates_bytes=5 << 19))
    assert names(tmp_path) == {"t0", "t1"}


@pytest.mark.parametrize("settings", [_settings(templates=1), _settings(templates_bytes=1)])
def test_the_template_that_was_just_made_stays(tmp_path: Path, settings: Settings) -> None:
    for age in range(3):
        make(tmp_path, f"t{age}", age_s=age)
    template.prune(tmp_path, settings, besides="t2")
    assert names(tmp_path) == {"t2"}


def test_a_template_that_is_used_is_not_the_oldest_any_more(tmp_path: Path) -> None:
    for age in range(3):
        make(tmp_path, f"t{age}", age_s=age)
    assert template.find(tmp_path / "t2") is not None
    template.prune(tmp_path, _settings(templates=1))
    assert names(tmp_path) == {"t2"}


@pytest.mark.parametrize("name", [MEMORY, STATE, SAVED])
def test_a_template_that_is_not_whole_is_removed(tmp_path: Path, name: str) -> None:
    path = make(tmp_path, "t")
    os.chmod(path / name, 0o600)
    (path / name).write_bytes((path / name).read_bytes()[:-1])
    seen: list[Event] = []
    with subscribed(seen.append):
        assert template.find(path) is None
    assert not names(tmp_path)
    assert [(event.name, event.fields["template"]) for event in seen] == [("template.corrupt", "t")]
    assert str(path / name) in str(seen[0].fields["error"])


def test_what_killed_makers_and_removers_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    whole = make(tmp_path, "whole")
    for leftover in (".dead.new", ".dead.gone", ".empty.new"):
        (tmp_path / leftover).mkdir()
    for name in (MEMORY, "lock"):
        (tmp_path / ".dead.new" / name).write_bytes(b"x")
    (tmp_path / ".dead.gone" / STATE).write_bytes(b"x")
    held = template_maker._take(tmp_path / ".alive.new")
    assert held is not None
    (tmp_path / ".alive.new" / MEMORY).write_bytes(b"x")
    template_maker.sweep(tmp_path)
    assert names(tmp_path) == {"whole", ".alive.new"}
    assert names(tmp_path / ".alive.new") == {"lock", MEMORY}
    os.close(held)
    template_maker.sweep(tmp_path)
    assert names(tmp_path) == {"whole"}
    assert template.find(whole) is not None


def test_a_directory_that_was_swept_or_renamed_is_nobodys(tmp_path: Path) -> None:
    making = tmp_path / ".t.new"
    first = template_maker._take(making)
    assert first is not None
    assert template_maker._take(making) is None
    making.rename(tmp_path / "t")
    assert not template_maker._holds(first, making)
    second = template_maker._take(making)
    assert second is not None
    os.close(first)
    os.close(second)
