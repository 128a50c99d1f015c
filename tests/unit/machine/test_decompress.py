"""Decompression, fed by the programs that distributions compress with."""

from __future__ import annotations

import os
import subprocess

import pytest

from firkin.errors import Corrupt
from firkin.machine.decompress import decompress

PROGRAMS = (["gzip", "-c"], ["xz", "-c"], ["lzma", "-c"], ["bzip2", "-c"], ["zstd", "-qc"], ["lz4", "-lc"])
DATA = (b"kernel " * 5000 + os.urandom(100)) * 20


def compressed(program: list[str], data: bytes = DATA) -> bytes:
    return subprocess.run(program, input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0])
def test_what_a_program_compressed_comes_back(program: list[str]) -> None:
    assert decompress(compressed(program), limit_bytes=len(DATA), what="it") == DATA


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0])
def test_more_than_the_limit_is_corrupt(program: list[str]) -> None:
    with pytest.raises(Corrupt, match="it: more than"):
        decompress(compressed(program), limit_bytes=len(DATA) - 1, what="it")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0])
def test_half_a_stream_is_corrupt(program: list[str]) -> None:
    whole = compressed(program)
    with pytest.raises(Corrupt, match="cannot uncompress it"):
        decompress(whole[: len(whole) // 2], limit_bytes=len(DATA), what="it")


def test_a_bomb_is_stopped_at_its_limit() -> None:
    bomb = compressed(["zstd", "-qc"], bytes(64 << 20))
    with pytest.raises(Corrupt, match="more than"):
        decompress(bomb, limit_bytes=1 << 20, what="it")


def test_plain_bytes_stay_as_they_are() -> None:
    assert decompress(b"\x7fELF plain", limit_bytes=100, what="it") == b"\x7fELF plain"
