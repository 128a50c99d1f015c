"""Which way to a root of their own containers in namespaces have: found by trying it, once a boot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from firkin.container import storage_driver
from firkin.container.storage_driver import Verdict, choose, probe
from firkin.settings import Settings


def test_a_probe_tries_an_overlay_and_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "probe"
    (place / "of a dead one").mkdir(parents=True)
    assert probe(place) == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
def test_where_no_overlay_works_the_probe_says_at_what_it_failed(tmp_path: Path) -> None:
    """On a file system that can be no upper layer: another overlay, as in many a container."""
    for name in ("lower", "upper", "work", "here"):
        (tmp_path / name).mkdir()
    options = ",".join(f"{name}dir={tmp_path / name}" for name in ("lower", "upper", "work"))
    here = tmp_path / "here"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "test", str(here)], check=True)
    try:
        assert probe(here / "probe").startswith("mount: ")
        assert list(here.iterdir()) == []
    finally:
        subprocess.run(["umount", str(here)], check=True)


def test_a_verdict_holds_for_one_boot_and_one_file_system(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []

    def failing(directory: Path, program: str = "") -> str:
        tried.append(directory)
        return "mount: Invalid argument"

    monkeypatch.setattr(storage_driver, "fuse_program", lambda: "")

    monkeypatch.setattr(storage_driver, "probe", failing)
    found = choose(settings.paths)
    assert found.driver == "copy"
    assert found.why == "mount: Invalid argument; fuse-overlayfs is not installed"
    assert choose(settings.paths) == found
    assert len(tried) == 1
    monkeypatch.setattr(storage_driver, "_boot_id", lambda: "another")
    choose(settings.paths)
    assert len(tried) == 2
    settings.paths.driver_path.write_text("torn")
    choose(settings.paths)
    assert len(tried) == 3


def test_where_the_kernels_overlay_fails_that_of_a_process_is_tried(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = probe
    monkeypatch.setattr(
        storage_driver, "probe", lambda where, program="": real(where, program) if program else "mount: no"
    )
    program = storage_driver.fuse_program()
    if not program and not os.environ.get("CI"):
        pytest.skip("needs fuse-overlayfs: apt install fuse-overlayfs")
    assert choose(settings.paths) == choose(settings.paths)
    assert (choose(settings.paths).driver, choose(settings.paths).why) == ("fuse-overlayfs", "mount: no")
    settings.paths.driver_path.unlink()
    monkeypatch.setattr(storage_driver, "fuse_program", lambda: "/bin/false")
    assert choose(settings.paths).driver == "copy"
    assert "/bin/false mounts nothing" in choose(settings.paths).why


def test_who_says_the_driver_gets_it_untried(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_driver, "probe", lambda _: pytest.fail("it was tried"))
    assert choose(settings.paths, "overlay") == Verdict(driver="overlay")
    assert choose(settings.paths, "copy").driver == "copy"
