"""The agent's launcher: it makes the namespaces that the agent is PID 1 of, with nothing of the host in
them.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from tests.guest.driver import AGENT, DEADLINE_S, Host

REPORT = struct.Struct("=Ii32s224s")
READY, FAILURE = 1, 3


@dataclass
class Launched:
    """A launcher that runs: its process, our end of its tie, and of the agent's stream."""

    process: subprocess.Popen[bytes]
    tie: socket.socket
    stream: socket.socket

    def first(self) -> int:
        """PID 1's pid, as we see it."""
        return int(struct.unpack("=I", self.tie.recv(512))[0])

    def go(self, pid: int) -> None:
        """Map all users of PID 1 to themselves, and let it begin."""
        for kind in ("gid_map", "uid_map"):
            Path(f"/proc/{pid}/{kind}").write_text("0 0 4294967295")
        self.tie.send(b"g")

    def report(self) -> tuple[int, int, str, str]:
        kind, number, step, what = REPORT.unpack(self.tie.recv(512))
        return kind, number, step.split(b"\0")[0].decode(), what.split(b"\0")[0].decode()


@pytest.fixture
def launcher(namespaces: None, tmp_path: Path) -> Iterator[Callable[..., Launched]]:
    with ExitStack() as stack:

        def start(**plan: object) -> Launched:
            for name in ("site", "dir"):
                (tmp_path / name).mkdir(exist_ok=True)
            places = {"site": str(tmp_path / "site"), "dir": str(tmp_path / "dir")}
            whole = {**places, "lower": "", "fuse": "", "binds": (), "helper": ()}
            tie, their_tie = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stream, their_stream = socket.socketpair()
            for sock in (tie, stream):
                sock.settimeout(DEADLINE_S)
                stack.callback(sock.close)
            plan_fd = os.memfd_create("plan")
            os.write(plan_fd, msgspec.msgpack.encode({**whole, **plan}))
            fds = (plan_fd, their_tie.fileno(), their_stream.fileno())
            argv = [AGENT, "--fd", str(fds[2]), "--launch", str(fds[0]), "--tie", str(fds[1])]
            process = subprocess.Popen(argv, pass_fds=fds)
            stack.callback(process.wait)
            stack.callback(process.kill)
            os.close(plan_fd)
            their_tie.close()
            their_stream.close()
            return Launched(process, tie, stream)

        yield start


def ends(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], DEADLINE_S)[0])


def test_pid_1_serves_from_a_root_of_its_own_and_sees_only_what_the_plan_names(launcher, box, tmp_path):
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "file").write_text("said\n")
    launched = launcher(lower=str(box.root), binds=(str(tmp_path / "shown"),))
    launched.go(launched.first())
    assert launched.report()[0] == READY
    host = Host(launched.stream)
    host.sync()
    root = {"device": "/root", "fstype": "bind"}
    shown = {"type": "bind", "source": "/binds/0", "target": "/shown", "options": ["ro"]}
    host.ask("container", container="c1", root=root, hostname="box", mounts=[shown])
    script = "id -u; cat /shown/file; echo new > /etc/new; cat /proc/net/dev | grep -c :; touch /shown/x"
    status, out, err = host.run(1, "sh", "-c", script, container="c1")
    assert (status, out) == (1, b"0\nsaid\n1\n")
    assert b"Read-only file system" in err
    assert (tmp_path / "dir" / "upper" / "etc" / "new").read_text() == "new\n"
    assert not (box.root / "etc" / "new").exists()
    assert host.run(2, "/root/bin/busybox", "ls", "/")[1].split() == [
        b"binds",
        b"dev",
        b"proc",
        b"root",
        b"run",
        b"sys",
    ]
    fstypes = {
        line.split()[2] for line in host.run(3, "/root/bin/busybox", "cat", "/proc/mounts")[1].splitlines()
    }
    assert fstypes & {b"tmpfs", b"proc", b"sysfs", b"overlay"} == {b"tmpfs", b"proc", b"sysfs", b"overlay"}


def test_pid_1_has_the_users_that_the_host_mapped_and_makes_no_devices(launcher, box):
    launched = launcher(lower=str(box.root))
    launched.go(launched.first())
    host = Host(launched.stream)
    host.sync()
    host.ask("container", container="c1", root={"device": "/root", "fstype": "bind"}, hostname="box")
    everything = (1 << 41) - 1
    said = host.run(1, "sh", "-c", "mknod /tmp/vda b 254 0", container="c1", caps=everything)
    assert said[0] == 1
    assert b"Operation not permitted" in said[2]


def test_the_namespace_ends_with_its_launcher(launcher, box):
    launched = launcher(lower=str(box.root))
    first = launched.first()
    pidfd = os.pidfd_open(first)
    try:
        launched.go(first)
        assert launched.report()[0] == READY
        launched.process.send_signal(signal.SIGKILL)
        assert ends(pidfd)
    finally:
        os.close(pidfd)


def test_the_launcher_ends_with_its_namespace(launcher, box):
    launched = launcher(lower=str(box.root))
    first = launched.first()
    launched.go(first)
    assert launched.report()[0] == READY
    os.kill(first, signal.SIGKILL)
    assert launched.process.wait(DEADLINE_S) == 128 + signal.SIGKILL


def test_nothing_begins_without_a_host_that_maps_it(launcher, box):
    launched = launcher(lower=str(box.root))
    launched.first()
    launched.tie.close()
    assert launched.process.wait(DEADLINE_S) == 0


def test_what_cannot_be_mounted_is_named(launcher, tmp_path):
    launched = launcher(lower=str(tmp_path / "missing"))
    launched.go(launched.first())
    kind, number, step, what = launched.report()
    assert (kind, step, what) == (FAILURE, "layer", str(tmp_path / "dir"))
    assert os.strerror(number) == "No such file or directory"
    assert launched.process.wait(DEADLINE_S) == 127


def test_a_helper_that_ends_before_there_is_a_network_ends_the_start_and_is_named(launcher, box):
    launched = launcher(lower=str(box.root), helper=("/bin/false",))
    launched.go(launched.first())
    assert launched.report() == (FAILURE, errno.EIO, "network", "/bin/false")
    assert launched.process.wait(DEADLINE_S) == 128 + signal.SIGKILL


def test_a_helper_gets_the_namespaces_and_ends_with_them(launcher, box, tmp_path):
    script = (
        f"readlink /proc/self/fd/10 /proc/self/fd/11 > {tmp_path}/seen; ls /proc/self/fd > {tmp_path}/fds;"
        "nsenter --user=/proc/self/fd/10 --net=/proc/self/fd/11 -- sh -c"
        " '/bin/busybox ip link set lo up; /bin/busybox ip route add default dev lo'; exec sleep 1000"
    )
    launched = launcher(lower=str(box.root), helper=("/bin/sh", "-c", script))
    first = launched.first()
    spaces = [os.readlink(f"/proc/{first}/ns/{kind}") for kind in ("user", "net")]
    launched.go(first)
    assert launched.report()[0] == READY
    assert (tmp_path / "seen").read_text().split() == spaces
    assert (tmp_path / "fds").read_text().split()[:5] == ["0", "1", "10", "11", "2"]
    (helper,) = (
        Path(f"/proc/{launched.process.pid}/task/{launched.process.pid}/children").read_text().split()[1:]
    )
    pidfd = os.pidfd_open(int(helper))
    try:
        os.kill(first, signal.SIGKILL)
        assert ends(pidfd)
    finally:
        os.close(pidfd)


@pytest.mark.parametrize("plan", [{"more": 1}, {"binds": 7}, {"site": None}])
def test_a_plan_that_is_none_is_refused_before_anything_is_made(launcher, plan):
    launched = launcher(**plan)
    kind, _, step, _ = launched.report()
    assert (kind, step) == (FAILURE, "request")
