"""Which kernel is chosen, and what is said when there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firkin.errors import HostUnsupported, UsageError
from firkin.machine import choose_kernel, kernels
from firkin.machine import kernel as kernels_module
from firkin.settings import Settings
from tests.unit.machine.test_vmlinux import bzimage


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty /boot and /lib/modules, as a host without a kernel package has them."""
    (tmp_path / "boot").mkdir()
    monkeypatch.setattr(kernels_module, "_BOOT", tmp_path / "boot")
    monkeypatch.setattr(kernels_module, "_MODULES", (tmp_path / "modules",))
    return tmp_path / "boot"


def package(boot: Path, version: str, *, modules: bool = True, mode: int = 0o644) -> Path:
    image = boot / f"vmlinuz-{version}"
    image.write_bytes(bzimage(b"", version=version.encode()))
    image.chmod(mode)
    if modules:
        _modules(boot.parent / "modules" / version)
    return image


def installed(settings: Settings, version: str) -> Path:
    home = settings.paths.kernels_dir / version
    _modules(home / "modules")
    (home / "vmlinuz").write_bytes(bzimage(b"", version=version.encode()))
    return home / "vmlinuz"


def _modules(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "modules.dep").touch()


def test_the_newest_cloud_kernel_of_the_distribution_is_chosen(boot: Path, settings: Settings) -> None:
    package(boot, "6.12.0-9-amd64")
    package(boot, "6.1.0-9-cloud-amd64")
    newest = package(boot, "6.1.0-56-cloud-amd64")
    chosen = choose_kernel(settings)
    assert (chosen.path, chosen.version, chosen.source) == (newest, "6.1.0-56-cloud-amd64", "distribution")


def test_an_installed_kernel_comes_before_the_distributions(boot: Path, settings: Settings) -> None:
    package(boot, "6.12.0-1-cloud-amd64")
    ours = installed(settings, "6.1.0-56-cloud-amd64")
    assert choose_kernel(settings).path == ours
    assert [kernel.source for kernel in kernels(settings)] == ["installed", "distribution"]


def test_a_kernel_without_its_modules_is_listed_with_the_reason_and_not_chosen(
    boot: Path, settings: Settings
) -> None:
    package(boot, "6.9.0-1-cloud-amd64", modules=False)
    whole = package(boot, "6.1.0-1-amd64")
    assert choose_kernel(settings).path == whole
    assert "modules are not in" in kernels(settings)[-1].problem


def test_no_kernel_is_an_error_with_the_way_out(boot: Path, settings: Settings) -> None:
    with pytest.raises(HostUnsupported, match="there is no kernel") as caught:
        choose_kernel(settings)
    assert "firkin kernel install" in caught.value.hint


def test_a_dangling_kernel_is_listed_as_missing(boot: Path, settings: Settings) -> None:
    (boot / "vmlinuz-6.1.0-1-amd64").symlink_to("gone")
    with pytest.raises(HostUnsupported, match=r"vmlinuz-6\.1\.0-1-amd64: missing"):
        choose_kernel(settings)


def test_the_setting_comes_first_and_finds_its_modules_by_the_images_version(
    boot: Path, settings: Settings
) -> None:
    installed(settings, "6.1.0-56-cloud-amd64")
    _modules(boot.parent / "modules" / "6.5.0-mine")
    image = boot.parent / "bzImage"
    image.write_bytes(bzimage(b"", version=b"6.5.0-mine (me) #1"))
    chosen = choose_kernel(Settings.load(os.environ, kernel=str(image)))
    assert (chosen.path, chosen.version, chosen.source) == (image, "6.5.0-mine", "setting")
    assert chosen.modules_dir == boot.parent / "modules" / "6.5.0-mine"


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"#!/bin/sh", "not a Linux kernel")])
def test_a_setting_that_is_no_kernel_is_refused(boot: Path, content: bytes | None, words: str) -> None:
    image = boot / "mine"
    if content is not None:
        image.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        choose_kernel(Settings.load(os.environ, kernel=str(image)))


def test_a_setting_whose_modules_are_nowhere_says_where_they_should_be(boot: Path) -> None:
    image = boot / "mine"
    image.write_bytes(bzimage(b"", version=b"6.5.0-mine"))
    with pytest.raises(HostUnsupported, match=r"/lib/modules/6\.5\.0-mine"):
        choose_kernel(Settings.load(os.environ, kernel=str(image)))
