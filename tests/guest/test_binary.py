"""The binary that a wheel carries: static, hardened, small, and nothing that a test build leaves in."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.guest.driver import AGENT

MOST_BYTES = 1_200_000


@pytest.fixture(scope="module")
def elf() -> str:
    return subprocess.run(
        ["readelf", "-W", "-hldS", AGENT], capture_output=True, text=True, check=True
    ).stdout


def test_it_is_static_and_position_independent(elf):
    assert re.search(r"Type:\s+DYN", elf)
    assert "INTERP" not in elf
    assert "(NEEDED)" not in elf


def test_its_relocations_are_read_only_before_it_runs(elf):
    assert "GNU_RELRO" in elf
    assert re.search(r"BIND_NOW|FLAGS_1.*NOW", elf)


def test_its_stack_and_its_data_cannot_be_run(elf):
    segments = re.findall(r"^\s+(LOAD|GNU_STACK)\s.*?\s([RWE ]{3})\s+0x\w+$", elf, re.MULTILINE)
    assert ("GNU_STACK", "RW ") in segments
    assert all(not ("W" in flags and "E" in flags) for _, flags in segments)


def test_it_guards_its_stack_and_its_copies():
    text = AGENT.read_bytes()
    assert b"stack smashing detected" in text
    assert b"buffer overflow detected" in text


def test_it_carries_neither_sanitizers_nor_symbols_nor_paths(elf):
    text = AGENT.read_bytes()
    assert ".symtab" not in elf
    for word in (b"__asan", b"__ubsan", b"libFuzzer", b"/guest/"):
        assert word not in text


def test_it_is_small():
    assert AGENT.stat().st_size < MOST_BYTES


@pytest.mark.parametrize("arguments", [[], ["port=agent"], ["--fd", "0"], ["--fd"]])
def test_it_does_nothing_outside_its_place(arguments):
    ran = subprocess.run([AGENT, *arguments], capture_output=True, text=True, timeout=10)
    assert ran.returncode == 2
    assert ran.stderr.startswith("firkin-agent: not ")
    assert ran.stderr.count("\n") == 1
