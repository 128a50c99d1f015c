"""Devices of this host: how they are said, and what is no disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firkin.container.device_check import examined
from firkin.engine import rules
from firkin.engine.device_words import device_facts, parse_device
from firkin.engine.words import run_options
from firkin.errors import FirkinError, UsageError


@pytest.mark.parametrize(
    ("word", "target", "readonly"),
    [
        ("/dev/sdb", "/dev/sdb", False),
        ("/dev/sdb:/dev/data", "/dev/data", False),
        ("/dev/sdb:/data/../disk:r", "/disk", True),
        ("/dev/sdb:r", "/dev/sdb", True),
        ("/dev/sdb:/x:rm", "/x", True),
        ("/dev/sdb:/x:rw", "/x", False),
        ("/dev/sdb:/x:mwr", "/x", False),
    ],
)
def test_a_device_is_said_as_dockers(word: str, target: str, readonly: bool) -> None:
    device = parse_device(word)
    assert (device.path, device.target, device.readonly) == ("/dev/sdb", target, readonly)
    assert device_facts(device)["CgroupPermissions"] == ("rm" if readonly else "rwm")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("", "is not HOST"),
        (":/x", "is not HOST"),
        ("/dev/sdb:", "is not HOST"),
        ("/dev/sdb:/x:/y:r", "is not HOST"),
        ("/dev/sdb:/x:q", "is not HOST"),
        ("/dev/sdb:rr", "not a place"),
        ("/dev/sdb:w", "cannot be read"),
        ("/dev/sdb:/x:m", "cannot be read"),
        ("/dev/sdb:/../x", "leads out"),
    ],
)
def test_what_is_no_device_is_refused(word: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse_device(word)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"devices": ["/dev/a:/x", "/dev/a:/y"]}, "/dev/a is given twice"),
        ({"devices": ["/dev/a:/x", "/dev/b:/x"]}, "/x is given twice"),
        ({"devices": [f"/dev/{number}" for number in range(17)]}, "more than 16"),
        ({"devices": ["/dev/a:/x"], "tmpfs": ["/x"]}, "two mounts at /x"),
        ({"devices": ["/dev/a:/proc/x"]}, "the kernel's own"),
    ],
)
def test_devices_that_contradict_are_refused(words: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        rules.check(run_options("box", ["sh"], **words))  # type: ignore[arg-type]


def test_a_file_stands_for_a_disk_with_its_mode_and_is_the_containers_roots(tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_bytes(bytes(1024))
    file.chmod(0o640)
    found = examined(parse_device(f"{file}:/dev/x:r"))
    assert (found.device, found.mode, found.uid, found.gid) == (False, 0o640, 0, 0)
    assert (found.disk.path, found.disk.readonly, found.disk.as_it_is) == (file, True, True)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("missing", "does not exist"),
        ("empty", "has 0 bytes"),
        ("odd", "sectors of 512"),
        (".", "is a directory"),
        ("fifo", "neither a block device nor a file"),
        ("/dev/null", "character device.*kernel of its own"),
    ],
)
def test_what_is_no_disk_is_refused_with_the_reason(tmp_path: Path, place: str, reason: str) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "odd").write_bytes(b"x" * 700)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match=reason):
        examined(parse_device(f"{tmp_path / place}:/dev/x"))


def test_kvm_is_had_by_another_word() -> None:
    if not os.path.exists("/dev/kvm"):
        pytest.skip("no /dev/kvm here")
    with pytest.raises(FirkinError) as refused:
        examined(parse_device("/dev/kvm"))
    assert "--nested" in refused.value.hint
