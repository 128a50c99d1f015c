"""Streams of processes in one container, tied as subprocess ties them: files, pipes, this program's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import firkin
from firkin import DEVNULL, PIPE, STDOUT, Container, Engine, Settings
from firkin.pytest.home import Home, fresh_home, session_dir
from tests.support.images import busybox_tar

pytestmark = pytest.mark.machine

MIB = 1 << 20
INTERLEAVED = "for i in 1 2 3; do echo out $i; echo err $i >&2; done"
IN_ORDER = b"".join(b"out %d\nerr %d\n" % (i, i) for i in (1, 2, 3))


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with fresh_home() as home:
        home.share_cache(session_dir() / "shared" / "cache")
        yield home


@pytest.fixture(scope="module")
def engine(home: Home) -> Iterator[Engine]:
    with Engine(Settings.load(home.environ())) as engine:
        archive = home.root / "busybox.tar"
        archive.write_bytes(busybox_tar())
        engine.import_image(archive, "busybox")
        yield engine


@pytest.fixture(scope="module")
def box(engine: Engine) -> Iterator[Container]:
    with engine.run("busybox", ["sleep", "inf"]) as container:
        yield container


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_a_process_does_with_its_streams_what_subprocess_would(box: Container, tmp_path: Path) -> None:
    """The same words, given to both."""
    data = os.urandom(MIB)
    (tmp_path / "in").write_bytes(data)
    for stderr in (STDOUT, DEVNULL, PIPE):
        written = []
        for start in (box.exec, subprocess.Popen):
            out = tmp_path / start.__name__
            with (tmp_path / "in").open("rb") as stdin, out.open("wb") as stdout:
                process = start(sh(f"md5sum; {INTERLEAVED}"), stdin=stdin, stdout=stdout, stderr=stderr)
            with process:
                said = process.stderr.read() if stderr is PIPE and process.stderr else b""
                process.wait()
            written.append((out.read_bytes(), said))
        assert written[0] == written[1]
    assert b"out 1\n" in written[0][0]


def test_merged_outputs_come_in_the_order_of_writing(box: Container, tmp_path: Path) -> None:
    output = box.exec(sh(INTERLEAVED), stderr=STDOUT).output()
    assert (output.stdout, output.stderr) == (IN_ORDER, b"")
    with (tmp_path / "both").open("wb") as both:
        assert box.exec(sh(INTERLEAVED), stdout=both, stderr=both).output(check=True).stdout == b""
    assert (tmp_path / "both").read_bytes() == IN_ORDER


def test_null_is_the_guests_own(box: Container) -> None:
    script = "for n in 0 1 2; do [ /proc/self/fd/$n -ef /dev/null ] || exit 1; done"
    for stderr in (DEVNULL, STDOUT):
        assert box.exec(sh(script), stdin=DEVNULL, stdout=DEVNULL, stderr=stderr).output().ok
    assert not box.exec(sh(script), stdin=DEVNULL, stdout=DEVNULL).output().ok


def test_paths_are_files_of_this_host(box: Container, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"from a file\n")
    target.write_bytes(b"what was there before, which is longer\n")
    process = box.exec(["cat"], stdin=source, stdout=str(target))
    assert process.stdin is None
    assert process.stdout.read() == b""
    assert process.wait().ok
    assert target.read_bytes() == b"from a file\n"


def test_a_pipe_ends_with_the_process_once_its_owner_closed_his_end(box: Container) -> None:
    reading, writing = os.pipe()
    with box.exec(["head", "-c", str(MIB), "/dev/zero"], stdout=writing):
        os.close(writing)
        with open(reading, "rb") as pipe:
            assert len(pipe.read()) == MIB


def test_processes_are_piped_into_each_other(box: Container) -> None:
    reading, writing = os.pipe()
    with box.exec(["seq", "1000"], stdout=writing), box.exec(["tail", "-n", "1"], stdin=reading) as last:
        os.close(writing)
        os.close(reading)
        assert last.output().stdout == b"1000\n"


def test_a_pipe_that_is_not_read_holds_up_nobody_else(box: Container) -> None:
    with box.exec(sh("yes & yes >&2")) as flood:
        assert flood.stderr.readline() == b"y\n"  # and no more is read, of either
        with box.exec(sh("echo apart >&2; yes"), stderr=PIPE) as other:
            assert other.stderr.readline() == b"apart\n"
            assert box.exec(["echo", "alive"]).output(timeout=60).stdout == b"alive\n"
            assert other.stdout.readline() == flood.stdout.readline() == b"y\n"


def test_waiting_for_a_stream_that_never_comes_names_it_and_the_seconds(box: Container) -> None:
    with box.exec(sh("printf half; exec sleep 1000")) as process:
        with pytest.raises(firkin.Timeout, match=r"reading a line of standard output of 'sh' .* than 0.2 s"):
            process.stdout.readline(timeout=0.2)
        assert process.stdout.read(4) == b"half", "what came meanwhile is not lost"
        with pytest.raises(
            firkin.Timeout, match=r"reading standard error of 'sh' in container .* than 0.1 s"
        ):
            process.stderr.read(timeout=0.1)


def test_a_file_that_cannot_be_written_is_an_error_of_the_wait(box: Container) -> None:
    with Path("/dev/full").open("wb") as full:
        process = box.exec(["seq", "10000"], stdout=full)
        with pytest.raises(firkin.ProcessError, match=r"'seq' in container .* its standard output cannot"):
            process.wait()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"stdout": "/no/such/directory/file"}, "stdout: cannot use /no/such/directory/file: No such file"),
        ({"stdin": "/"}, "stdin: its file is a directory"),
        ({"stderr": 999}, "stderr: cannot use descriptor 999: Bad file descriptor"),
        ({"stdout": object()}, "stdout: <object .* has no descriptor"),
    ],
)
def test_what_cannot_be_tied_is_refused_before_anything_runs(
    box: Container, words: dict[str, object], message: str
) -> None:
    with pytest.raises(firkin.UsageError, match=message):
        box.exec(["touch", "/ran"], **words)  # type: ignore[arg-type]
    assert not box.exec(["test", "-e", "/ran"]).output().ok


def test_a_file_that_is_open_the_wrong_way_is_refused(box: Container, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        (tmp_path / "file").open("rb") as file,
        pytest.raises(firkin.UsageError, match="not open for writing"),
    ):
        box.exec(["true"], stdout=file)


def test_a_container_of_its_own_writes_to_files_and_its_log(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"given\n")
    container = engine.run(
        "busybox", sh(f"cat; {INTERLEAVED}"), stdin=tmp_path / "in", stdout=tmp_path / "out", stderr=STDOUT,
        auto_remove=False,
    )  # fmt: skip
    with container:
        assert container.output(check=True).stdout == b""
        assert (tmp_path / "out").read_bytes() == b"given\n" + IN_ORDER
        assert b"".join(record.data for record in container.logs()) == b"given\n" + IN_ORDER
        assert container.inspect()["Config"]["Outputs"] == {"Stdout": "pipe", "Stderr": "stdout"}
        with pytest.raises(firkin.UsageError, match="stdout: only run"):
            engine.create("busybox", ["true"], stdout=tmp_path / "out")


def test_a_stop_waits_for_nobody_who_does_not_read(engine: Engine) -> None:
    reading, writing = os.pipe()
    with engine.run("busybox", ["yes"], stdout=writing) as container:
        assert os.read(reading, 2) == b"y\n"  # and no more
        container.stop(0)
    os.close(writing)
    os.close(reading)


INHERITS = """
import sys, firkin
settings = firkin.Settings.load()
print("before", flush=True)
said = firkin.run("busybox", ["sh", "-c", "cat; echo err >&2"], stdin=None, stdout=None, stderr=None)
print(said.stdout, said.stderr)
"""


def test_none_is_inherited_from_this_program(engine: Engine, home: Home) -> None:
    child = subprocess.run(
        [sys.executable, "-c", INHERITS],
        input=b"typed\n",
        capture_output=True,
        env=home.environ(),
        timeout=120,
    )
    assert (child.stdout, child.stderr) == (b"before\ntyped\nb'' b''\n", b"err\n")
