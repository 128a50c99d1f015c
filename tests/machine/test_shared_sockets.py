"""Sockets that a container shares with its host by flags, and `firkin forward`; no network anywhere."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import firkin as api
from firkin.linux import unix_socket
from firkin.pytest.command import FIRKIN, Command, Ended
from firkin.pytest.home import Home
from firkin.pytest.leaks import SUPERVISOR, processes_of, wait_until_gone

pytestmark = pytest.mark.machine


@contextmanager
def echoing(path: Path) -> Iterator[None]:
    """A server of the host's at `path` that says back what it hears, in capitals."""
    listener = unix_socket.listen(path)

    def serve() -> None:
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            with client, suppress(OSError):  # who only asked whether somebody listens is gone
                client.sendall(client.makefile("rb").read().upper())

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def asked(sock: socket.socket, question: bytes) -> bytes:
    """What comes back to `question` and its end."""
    with sock:
        sock.settimeout(60)
        sock.sendall(question)
        sock.shutdown(socket.SHUT_WR)
        return sock.makefile("rb").read()


def dialled(box: api.Container, place: str | int, question: bytes) -> bytes:
    with box.dial(place, timeout=60) as connection:
        connection.writer.write(question)
        connection.writer.close()
        return connection.reader.read()


def check_both_ways(box: api.Container, published: Path) -> None:
    """What connects inside reaches the host's server, and what connects outside the container's."""
    assert dialled(box, "/run/in.sock", b"from inside") == b"FROM INSIDE"
    with box.listen("/run/out.sock") as listener:
        answered: list[bytes] = []

        def answer() -> None:
            with listener.accept(timeout=60) as connection:
                answered.append(connection.reader.read())
                connection.writer.write(b"welcome")
                connection.writer.close()

        answering = threading.Thread(target=answer)
        answering.start()
        assert asked(unix_socket.connect(published), b"from outside") == b"welcome"
        answering.join(60)
        assert answered == [b"from outside"]


def assert_refused(ended: Ended, *why: str) -> None:
    assert ended.status == 125, ended
    for words in why:
        assert words in ended.stderr


def kill_supervisor(home: Home) -> None:
    (pid,) = [found.pid for found in processes_of(str(home.root)) if SUPERVISOR in found.command]
    os.kill(pid, signal.SIGKILL)
    wait_until_gone([pid], 60)


@contextmanager
def forwarding(firkin: Command, *args: str) -> Iterator[str]:
    """`firkin forward ARGS`, interrupted at the end; its first line."""
    child = subprocess.Popen(
        [*FIRKIN, "forward", *args], stdout=subprocess.PIPE, env=firkin.environ, cwd=firkin.cwd, text=True
    )
    assert child.stdout is not None
    with child.stdout:
        try:
            yield child.stdout.readline().rstrip("\n")
        finally:
            child.send_signal(signal.SIGINT)
            assert child.wait(60) == 130


def test_sockets_are_shared_both_ways_and_survive_the_supervisor_and_a_fork(
    firkin: Command, stocked: Home, settings: Any
) -> None:
    work = stocked.work_dir
    with echoing(work / "host.sock"), api.Engine(settings) as engine:
        shown = "stat -c '%F %a %u %g' /run/in.sock; exec sleep 1000"
        flags = ("--socket", "./host.sock:/run/in.sock:mode=660,uid=7,gid=8", "--network", "none")
        publish = ("--publish-socket", "/run/out.sock:./out.sock:mode=640")
        firkin("run", "-d", "--name", "box", *flags, *publish, "busybox", "sh", "-c", shown, check=True)
        box = engine.container("box")
        record = next(iter(box.logs(follow=True)))
        assert record.data == b"socket 660 7 8\n"  # it was there before the first process
        assert (work / "out.sock").stat().st_mode & 0o777 == 0o640
        inspected = json.loads(firkin("inspect", "box", check=True).stdout)[0]["HostConfig"]["Sockets"]
        assert [(each["Container"], each["Published"], each["Mode"]) for each in inspected] == [
            ("/run/in.sock", False, "0660"),
            ("/run/out.sock", True, "0640"),
        ]
        check_both_ways(box, work / "out.sock")

        kill_supervisor(stocked)
        assert firkin("exec", "box", "true").status == 0  # somebody takes it over
        check_both_ways(box, work / "out.sock")
        firkin("pause", "box", check=True)
        kill_supervisor(stocked)
        firkin("unpause", "box", check=True)
        check_both_ways(box, work / "out.sock")

        refused = firkin("fork", "box")
        assert_refused(refused, "publishes /run/out.sock:", "a path of its own")
        firkin("fork", "--name", "own", "--publish-socket", "/run/out.sock:./own.sock", "box", check=True)
        check_both_ways(engine.container("own"), work / "own.sock")
        check_both_ways(box, work / "out.sock")

        taken = firkin("run", "--rm", *publish, "busybox", "true")
        assert_refused(taken, "it is in use")
        firkin("rm", "-f", "box", "own", check=True)
        assert [path.name for path in work.iterdir()] == ["host.sock"]
        missing = firkin("run", "--rm", "--socket", "./none:/run/s", "busybox", "true")
        assert_refused(missing, "cannot find")


def test_forward_reaches_a_port_and_a_socket_and_brings_one_in(
    firkin: Command, stocked: Home, settings: Any
) -> None:
    work = stocked.work_dir
    serve = "nc -ll -p 7 -e cat"
    with echoing(work / "host.sock"), api.Engine(settings) as engine:
        firkin("run", "-d", "--name", "box", "--network", "none", "busybox", "sh", "-c", serve, check=True)
        box = engine.container("box")
        wait = "until grep -q ':0007 .* 0A ' /proc/net/tcp /proc/net/tcp6; do usleep 20000; done"
        box.exec(["sh", "-c", wait]).output(check=True, timeout=60)
        with forwarding(firkin, "box", ":7", "./seven.sock:7") as line:
            shown = re.fullmatch(r"127\.0\.0\.1:(\d+) -> port 7 of box", line)
            assert shown is not None
            data = os.urandom(1 << 20)
            received: list[bytes] = []
            client = socket.create_connection(("127.0.0.1", int(shown[1])))
            with client:
                client.settimeout(60)
                reading = threading.Thread(target=lambda: received.append(client.makefile("rb").read()))
                reading.start()
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                reading.join(60)
            assert received == [data]
            assert (work / "seven.sock").stat().st_mode & 0o777 == 0o600
            assert asked(unix_socket.connect(work / "seven.sock"), b"seven") == b"seven"
        assert not (work / "seven.sock").exists()
        with forwarding(firkin, "--reverse", "box", "./host.sock:/run/agent.sock") as line:
            assert line == f"/run/agent.sock of box -> {work}/host.sock"
            assert dialled(box, "/run/agent.sock", b"from inside") == b"FROM INSIDE"
        gone = box.exec(["ls", "/run/agent.sock"]).output()
        assert gone.status.code == 1
        taken = firkin("forward", "box", "./host.sock:7")
        assert_refused(taken, "it is in use")
        firkin("rm", "-f", "box", check=True)
        ended = firkin("forward", "box", "7")
        assert_refused(ended, "no such container")
