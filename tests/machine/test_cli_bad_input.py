"""Whatever goes wrong, `firkin` says in one line what, on the next what to do, and leaves nothing behind."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Any

import pytest

from firkin.pytest.command import Command, Ended
from firkin.pytest.home import Home
from tests.support.images import Images, tar_of

pytestmark = pytest.mark.machine


@dataclass(frozen=True)
class Bench:
    """firkin in a home that has busybox; `fails` runs it and checks how it says no."""

    firkin: Command
    home: Home

    def fails(self, *words: str, status: int = 125, said: str, hint: str = "", **variables: Any) -> Ended:
        before = self.contents()
        ended = self.firkin(*words, **variables)
        lines = [
            line
            for line in ended.stderr.splitlines()
            if not re.match(r"firkin: (pulling|building) |  layer", line)
        ]
        assert ended.status == status, ended
        assert ended.stdout == ""
        assert len(lines) == 2, ended
        assert lines[0].startswith("firkin: "), ended
        assert re.search(said, lines[0]), ended
        assert lines[1].startswith("  hint: "), ended
        assert hint in lines[1], ended
        assert self.contents() == before
        return ended

    def contents(self) -> list[str]:
        """What must not grow: blobs, half blobs, containers, sockets."""
        data, run = self.home.data_dir, self.home.run_dir
        places = (data / "containers", data / "ingest", data / "blobs" / "sha256", run / "c", data / "refs")
        return sorted(str(path) for place in places if place.is_dir() for path in place.rglob("*"))


@pytest.fixture
def bench(busybox: Command, home: Home) -> Bench:
    return Bench(busybox, home)


CLOSED_PORT = 1


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (("run", "Bad/Name", "true"), "'Bad/Name' is not an image reference", "lowercase"),
        (("run", f"127.0.0.1:{CLOSED_PORT}/x", "true"), "cannot connect to 127.0.0.1:1", ""),
        (("pull", f"127.0.0.1:{CLOSED_PORT}/x"), "cannot connect to 127.0.0.1:1", ""),
        (("run", "--pull", "never", "nope", "true"), "image nope .*is not here", "firkin pull nope"),
        (("run", "-v", "/no/such:/x", "busybox"), "host path /no/such does not exist", ""),
        (("run", "--env-file", "nope", "busybox"), "cannot read env file nope", ""),
        (("run", "-m", "1k", "busybox"), "1024 bytes are too few", "64m"),
        (("run", "-w", "relative", "busybox"), "'relative' is not an absolute path", ""),
        (("run", "--name", "bad name", "busybox"), "'bad name' is not a container name", ""),
        (("exec", "nope", "true"), "no such container: 'nope'", "firkin ps -a"),
        (("logs", "nope"), "no such container: 'nope'", "firkin ps -a"),
        (("attach", "nope"), "no such container: 'nope'", "firkin ps -a"),
        (("stop", "nope"), "no such container: 'nope'", "firkin ps -a"),
        (("rmi", "nope"), "image nope is not here", "firkin images"),
        (("tag", "nope", "x"), "image nope is not here", ""),
        (("import", "/no/such.tar", "x"), "cannot read /no/such.tar", ""),
    ],
)
def test_what_is_not_there_or_cannot_be_read(
    bench: Bench, words: tuple[str, ...], said: str, hint: str
) -> None:
    bench.fails(*words, said=said, hint=hint)


def test_an_image_that_its_registry_does_not_have(bench: Bench, images: Images) -> None:
    reference = images.registry.reference("never-pushed")
    bench.fails("run", reference, "true", said=f"{re.escape(reference)}|never-pushed")


def test_a_platform_that_the_image_does_not_have_names_those_it_has(bench: Bench, images: Images) -> None:
    one = images.push("for-arm", [tar_of({"x": b"y"})], platform="linux/arm64", tag="arm")
    index = images.push_index("for-arm", [one])
    ended = bench.fails("pull", index.reference, said="linux/amd64")
    assert "linux/arm64" in ended.stderr


def test_a_name_in_use(bench: Bench) -> None:
    bench.firkin("run", "--name", "taken", "busybox", "true", check=True)
    bench.fails("run", "--name", "taken", "busybox", "true", said="name 'taken' is in use", hint="firkin rm")


def test_a_port_in_use(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        words = ("run", "-p", f"127.0.0.1:{port}:80", "busybox", "true")
        bench.fails(*words, said=f"127.0.0.1:{port}:80.* in use")


def test_no_qemu_and_no_kernel(bench: Bench) -> None:
    nowhere = str(bench.home.work_dir / "nowhere")
    bench.fails("run", "busybox", "true", said="there is no QEMU", hint="apt install", FIRKIN_QEMU=nowhere)
    bench.fails("run", "busybox", "true", said=f"cannot read kernel {nowhere}", FIRKIN_KERNEL=nowhere)
    bench.fails("run", "busybox", "true", said="is not a Linux kernel", FIRKIN_KERNEL="/etc/passwd")
    info = bench.firkin("info", FIRKIN_QEMU=nowhere)
    assert info.status == 125
    assert "machines       cannot run: there is no QEMU" in info.stdout


def test_a_command_that_cannot_be_started(bench: Bench) -> None:
    bench.firkin("run", "-q", "--rm", "busybox", "true", check=True)  # its disk is built now
    missing = "command not found in container: 'nosuch'"
    bench.fails("run", "busybox", "nosuch", status=127, said=missing)
    bench.fails("run", "-d", "busybox", "nosuch", status=127, said=missing)
    bench.fails("run", "busybox", "/etc", status=126, said="cannot execute '/etc' in container: Permission")
    bench.fails("run", "-u", "nobodyx", "busybox", "true", said="unknown user 'nobodyx'")


def test_exec_has_the_same_statuses(bench: Bench) -> None:
    bench.firkin("run", "-d", "--name", "up", "busybox", "sleep", "1000", check=True)
    bench.fails("exec", "up", "nosuch", status=127, said="command not found in container: 'nosuch'")
    bench.fails("exec", "up", "/etc", status=126, said="cannot execute '/etc'")
    bench.fails("run", "--name", "up", "busybox", said="name 'up' is in use")
    bench.fails("rm", "up", said="container 'up' is running", hint="firkin rm -f up")
    bench.firkin("rm", "-f", "up", check=True)


def test_a_data_directory_that_cannot_be_written(bench: Bench, home: Home) -> None:
    home.config_path.parent.mkdir(parents=True, exist_ok=True)
    home.config_path.write_text('data_dir = "/proc/nowhere"\n')
    ended = bench.firkin("run", "busybox", "true")
    assert ended.status == 125
    assert "Traceback" not in ended.stderr
    assert "/proc/nowhere" in ended.stderr
