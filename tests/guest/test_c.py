"""The agent's parts in C, each against its own test program, with the sanitizers watching; and the fuzzer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

GUEST = Path(__file__).parents[2] / "guest"
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Werror"]
PARTS = {
    "frame": ["frame.c"],
    "msgpack": ["msgpack.c", "fields.c", "failure.c"],
    "users": ["users.c", "failure.c", "util.c"],
    "path": ["path.c"],
}


@pytest.mark.parametrize("part", PARTS)
def test_the_part_does_what_its_test_program_claims(part, tmp_path):
    program = tmp_path / part
    sources = [GUEST / "tests" / f"test_{part}.c", *(GUEST / name for name in PARTS[part])]
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run(["gcc", *FLAGS, *sanitize, *map(str, sources), "-o", str(program)], check=True)
    ran = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
def test_the_fuzzer_finds_nothing_in_the_frame_parser_and_the_decoder(tmp_path):
    """A short run; longer: clang with these arguments, then ./fuzz -max_total_time=3600 CORPUS."""
    if shutil.which("clang") is None:
        pytest.skip("no clang: apt install clang")
    program = tmp_path / "fuzz"
    sources = ["tests/fuzz_wire.c", "frame.c", "msgpack.c", "fields.c", "failure.c"]
    fuzzer = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    built = subprocess.run(
        ["clang", *FLAGS, *fuzzer, *(str(GUEST / name) for name in sources), "-o", str(program)],
        capture_output=True,
        text=True,
    )
    if "libclang_rt.fuzzer" in built.stderr:
        pytest.skip("clang has no libFuzzer: apt install libclang-rt-14-dev")
    assert built.returncode == 0, built.stderr
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "sync").write_bytes(bytes([1, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0]) + bytes(range(16)) + b"\xa5")
    (corpus / "map").write_bytes(b"\x83\xa2op\xa4sync\xa5words\x92\xa1a\xa1b\xa4list\x91\x81\xa4text\xa1x")
    (corpus / "identity").write_bytes(
        b"\x86\xa2op\xa8identity\xa4text\xa2c1\xa5bytes\xc4\x02hi\xa5words\x91\xa1x"
        b"\xa7numbers\x92\x01\xcd\x01\xff\xa4list\x91\x82\xa4text\xa4/etc\xa6number\xcd\x01\xa4"
    )
    run = [program, "-max_total_time=12", "-max_len=4096", f"-artifact_prefix={tmp_path}/", corpus]
    ran = subprocess.run(run, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-4000:]
