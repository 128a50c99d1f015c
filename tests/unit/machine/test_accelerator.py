"""KVM or TCG: what is tried, what is believed, and what is said."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from firkin.errors import HostUnsupported
from firkin.machine import accelerator, kvm_probe
from firkin.machine.accelerator import choose_accelerator
from firkin.machine.kvm_probe import Answer
from firkin.settings import Settings

INPUTS = ("host", "boot", "qemu", "kernel", "agent")


class Host:
    """A host whose KVM answers as told; counts what was tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, probe: Answer, machine: bool) -> None:
        self.probed = self.booted = 0
        self._answer, self._machine = probe, machine
        monkeypatch.setattr(accelerator, "DEVICE", os.devnull)
        monkeypatch.setattr(kvm_probe, "probe", self._probe)

    def _probe(self, _: str) -> Answer:
        self.probed += 1
        return self._answer

    async def trial(self) -> bool:
        self.booted += 1
        return self._machine


def with_accelerator(accelerator: str) -> Settings:
    return Settings.load(os.environ, accelerator=accelerator)


async def test_a_kvm_that_runs_a_guest_and_a_machine_is_used(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    host = Host(monkeypatch, probe="runs", machine=True)
    for _ in range(3):
        verdict = await choose_accelerator(settings, INPUTS, host.trial)
        assert (verdict.accelerator, verdict.notice) == ("kvm", "")
    assert (host.probed, host.booted) == (1, 1)


@pytest.mark.parametrize("answer", ["hangs", "is broken"])
async def test_a_kvm_that_runs_no_guest_ends_in_tcg_and_a_notice(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, answer: Answer
) -> None:
    host = Host(monkeypatch, probe=answer, machine=True)
    for _ in range(2):
        verdict = await choose_accelerator(settings, INPUTS, host.trial)
        assert verdict.accelerator == "tcg"
        assert answer in verdict.notice
        assert "\n" not in verdict.notice
    assert (host.probed, host.booted) == (1, 0)


async def test_a_kvm_whose_machine_never_answers_ends_in_tcg_and_a_notice(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    host = Host(monkeypatch, probe="runs", machine=False)
    verdict = await choose_accelerator(settings, INPUTS, host.trial)
    assert verdict.accelerator == "tcg"
    assert "never reached its agent" in verdict.notice


async def test_another_kernel_is_tried_anew(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    host = Host(monkeypatch, probe="runs", machine=True)
    await choose_accelerator(settings, INPUTS, host.trial)
    await choose_accelerator(settings, (*INPUTS[:-1], "new agent"), host.trial)
    assert host.booted == 2


async def test_kvm_that_was_demanded_and_does_not_work_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, probe="hangs", machine=True)
    with pytest.raises(HostUnsupported, match="a guest on /dev/kvm hangs"):
        await choose_accelerator(with_accelerator("kvm"), INPUTS, host.trial)


async def test_tcg_that_was_asked_for_tries_nothing_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, probe="runs", machine=True)
    verdict = await choose_accelerator(with_accelerator("tcg"), INPUTS, host.trial)
    assert (verdict.accelerator, verdict.notice, host.probed) == ("tcg", "", 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no /dev/kvm"),
        (lambda path: os.mkdir(path), "cannot be opened"),
    ],
)
async def test_a_missing_or_strange_device_ends_in_tcg_with_a_hint(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    tmp_path: os.PathLike[str],
    make: Callable[[str], None],
    words: str,
) -> None:
    host = Host(monkeypatch, probe="runs", machine=True)
    path = os.path.join(tmp_path, "kvm")
    make(path)
    monkeypatch.setattr(accelerator, "DEVICE", path)
    verdict = await choose_accelerator(settings, INPUTS, host.trial)
    assert verdict.accelerator == "tcg"
    assert words in verdict.notice


async def test_a_device_of_another_group_ends_in_tcg_and_names_the_group(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    host = Host(monkeypatch, probe="runs", machine=True)

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("firkin.machine.accelerator.os.open", refuse)
    verdict = await choose_accelerator(settings, INPUTS, host.trial)
    assert verdict.accelerator == "tcg"
    assert "usermod -aG kvm" in verdict.notice
