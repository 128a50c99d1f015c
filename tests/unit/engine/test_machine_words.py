"""The words for a machine: what is kept of them, and what is refused before anything is pulled."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from firkin.engine.machine_words import check_machine, check_owned, machine_knobs
from firkin.engine.words import run_options
from firkin.errors import FirkinError, UsageError
from firkin.machine.knobs import Knobs


def test_paths_are_the_callers_wherever_the_machine_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vmlinuz").write_bytes(b"kernel")
    monkeypatch.chdir(tmp_path)
    assert machine_knobs({"kernel": "vmlinuz", "boot_log": Path("log")}) == Knobs(
        kernel=str(tmp_path / "vmlinuz"), boot_log=str(tmp_path / "log")
    )


def test_every_word_is_kept() -> None:
    words = {"kernel_args": ["a=1", "b"], "nested": True, "hugepages": True, "entropy": True, "balloon": True}
    knobs = run_options("image", **words).knobs  # type: ignore[arg-type]
    assert knobs == Knobs(kernel_args=("a=1", "b"), nested=True, hugepages=True, entropy=True, balloon=True)
    assert run_options("image").knobs == Knobs()


@pytest.mark.parametrize("field", ["kernel", "initramfs"])
@pytest.mark.parametrize("path", ["/nowhere/at/all", os.curdir])
def test_a_file_that_is_not_there_is_refused(field: str, path: str) -> None:
    with pytest.raises(UsageError, match=field):
        machine_knobs({field: path})  # type: ignore[misc]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"hugepages": True, "memory": (64 << 20) + 4096}, "whole number"),
        ({"hugepages": True, "balloon": True}, "balloon"),
        ({"boot_log": "/nowhere/at/all"}, "boot_log"),
        ({"initramfs": __file__}, "not an archive"),
    ],
)
def test_what_no_machine_can_be_told_is_refused(words: dict[str, Any], said: str) -> None:
    with pytest.raises(FirkinError, match=said):
        check_machine(run_options("image", **words))


def test_a_lone_string_is_no_list_of_kernel_args() -> None:
    with pytest.raises(UsageError, match="kernel_args"):
        machine_knobs({"kernel_args": "loglevel=7"})


def test_the_supervisors_standard_error_is_nobodys() -> None:
    check_owned(run_options("image", boot_log="/tmp/log"))
    with pytest.raises(UsageError, match="foreground"):
        check_owned(run_options("image", boot_log="-"))
