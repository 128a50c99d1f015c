"""The agent's parts in C, each against its own test program, with the sanitizers watching; and the fuzzer."""

from __future__ import annotations

import os
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


def fuzz(tmp_path, harness, parts, seeds):
    """A short run; longer: clang with these arguments, then ./fuzz -max_total_time=3600 CORPUS."""
    if shutil.which("clang") is None:
        pytest.skip("no clang: apt install clang")
    program = tmp_path / "fuzz"
    sources = [f"tests/{harness}.c", *parts]
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
    for name, seed in seeds.items():
        (corpus / name).write_bytes(seed)
    run = [program, "-max_total_time=6", "-max_len=4096", f"-artifact_prefix={tmp_path}/", corpus]
    ran = subprocess.run(run, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-4000:]


@pytest.mark.slow
def test_the_fuzzer_finds_nothing_in_the_frame_parser_and_the_decoder(tmp_path):
    seeds = {
        "sync": bytes([1, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0]) + bytes(range(16)) + b"\xa5",
        "map": b"\x83\xa2op\xa4sync\xa5words\x92\xa1a\xa1b\xa4list\x91\x81\xa4text\xa1x",
        "identity": b"\x86\xa2op\xa8identity\xa4text\xa2c1\xa5bytes\xc4\x02hi\xa5words\x91\xa1x"
        b"\xa7numbers\x92\x01\xcd\x01\xff\xa4list\x91\x82\xa4text\xa4/etc\xa6number\xcd\x01\xa4",
    }
    fuzz(tmp_path, "fuzz_wire", ["frame.c", "msgpack.c", "fields.c", "failure.c"], seeds)


@pytest.mark.slow
def test_the_fuzzer_finds_nothing_in_the_tar_reader_and_the_writer(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    with open(source / "sparse", "wb") as sparse:
        sparse.seek(1 << 20)
        sparse.write(b"x")
    os.setxattr(source / "sparse", "user.note", b"1")
    (source / ("n" * 120)).symlink_to("m" * 120)
    formats = {
        "pax": ["--format=pax", "--xattrs"],
        "old-map": ["--format=pax", "--sparse-version=0.1"],
        "pairs": ["--format=pax", "--sparse-version=0.0"],
        "gnu": ["--format=gnu"],
        "v7": ["--format=v7"],
    }
    seeds = {
        name: subprocess.run(
            ["tar", "-c", "--sparse", *form, "-C", source, "."], capture_output=True
        ).stdout.rstrip(b"\0")
        for name, form in formats.items()
    }
    fuzz(tmp_path, "fuzz_tar", ["tar_header.c", "tar_pax.c", "tar_read.c", "tar_write.c", "failure.c"], seeds)
