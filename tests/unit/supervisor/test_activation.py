"""The supervisor on a socket that systemd made: handed over as sd_listen_fds(3) has it, or by systemd's own
systemd-socket-activate.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from firkin.container.locks import holders
from firkin.container.record import Created
from firkin.engine import supervised
from firkin.errors import HostUnsupported, Timeout
from firkin.linux.unix_socket import bind, connect, listen
from firkin.supervisor import lock as supervisor_lock
from firkin.supervisor.activation import handed_over
from firkin.supervisor.door import Door, is_answered
from firkin.supervisor.lock import SupervisorLock
from tests.unit.supervisor.test_server import machine_holding, make

_AS_SYSTEMD = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def words(settings) -> list[str]:
    settings.paths.run.mkdir(mode=0o700, exist_ok=True, parents=True)
    data, run = os.path.abspath(settings.paths.data), os.path.abspath(settings.paths.run)
    return [sys.executable, "-m", "firkin.supervisor", "--foreground", data, run]


@contextmanager
def systemds(settings) -> Iterator[socket.socket]:
    """A socket at the supervisor's path, made as systemd makes it: over whatever lies there."""
    settings.paths.run.mkdir(mode=0o700, exist_ok=True, parents=True)
    with listen(settings.paths.supervisor_socket_path) as sock:
        yield sock


@contextmanager
def activated(settings, sock: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor that systemd starts on `sock`."""
    command = [sys.executable, "-ISc", _AS_SYSTEMD, str(sock.fileno()), *words(settings)]
    started = subprocess.Popen(command, pass_fds=[sock.fileno()], stderr=subprocess.PIPE)
    try:
        yield started
    finally:
        started.terminate()
        started.communicate()


async def test_it_serves_who_waited_on_the_socket_and_leaves_it_to_systemd(settings):
    with systemds(settings) as sock:
        early = connect(settings.paths.supervisor_socket_path)  # before there is anybody
        with activated(settings, sock) as started:
            await supervised.wake(settings)
            assert holders(settings.paths.supervisor_lock_path) == [started.pid]
            assert os.readlink(f"/proc/{started.pid}/cwd") == os.getcwd()  # it stayed
            await supervised.shutdown(settings)
            assert started.wait(10) == 0
        early.close()
        assert settings.paths.supervisor_socket_path.exists()
        with activated(settings, sock) as second:  # as systemd starts it for the next client
            await supervised.wake(settings)
            assert second.poll() is None


async def test_one_that_a_client_started_gives_way_and_what_it_owned_is_taken_over(settings):
    await supervised.wake(settings)
    (first,) = holders(settings.paths.supervisor_lock_path)
    half = make(settings, detached=True)
    with half.hold_alive() as alive:
        machine = machine_holding(alive)  # it died between the machine's start and the record of it
    with systemds(settings) as sock, activated(settings, sock) as started:
        await supervised.wake(settings)
        assert holders(settings.paths.supervisor_lock_path) == [started.pid]
        assert not os.path.exists(f"/proc/{first}") or _is_zombie(first)
        assert machine.wait(10) == -9
        assert half.state() == Created()


def _is_zombie(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


async def test_a_client_whose_supervisor_is_replaced_asks_the_next_one(settings):
    """The request is on its way when systemd's takes the place: it is made again, and answered."""
    await supervised.wake(settings)
    async with await supervised._connected(settings) as channel:
        assert await channel.request({"op": "ping"}) == {}
        with systemds(settings) as sock, activated(settings, sock):
            await channel.gone.wait()  # the old one has ended
            await supervised.wake(settings)


def status_of(command: list[str]) -> int:
    return subprocess.run(command).returncode


async def test_where_systemd_listens_a_client_starts_none(settings):
    with systemds(settings) as sock:
        assert status_of([each for each in words(settings) if each != "--foreground"]) == 0
        assert holders(settings.paths.supervisor_lock_path) == []
        sock.setblocking(False)
        sock.accept()[0].close()  # which is what wakes systemd


async def test_a_path_that_is_not_the_sockets_any_more_is_served_too(settings):
    with systemds(settings) as sock, connect(settings.paths.supervisor_socket_path) as waiting:
        settings.paths.supervisor_socket_path.unlink()
        with activated(settings, sock):
            await supervised.wake(settings)  # by the path
            waiting.sendall(b"\xff" * 100)
            waiting.settimeout(10)
            assert waiting.recv(1) == b""  # by the socket, which answers garbage by hanging up
            await supervised.shutdown(settings)
        assert not settings.paths.supervisor_socket_path.exists()


def test_a_door_leaves_alone_what_another_put_in_its_place(settings):
    path = settings.paths.supervisor_socket_path
    path.parent.mkdir(mode=0o700, exist_ok=True, parents=True)
    door = Door(path)
    with systemds(settings):
        door.leave()
        assert path.exists()
        assert is_answered(path)
    door.close()


def test_the_socket_is_closed_to_others(settings):
    with systemds(settings) as sock:
        os.chmod(settings.paths.supervisor_socket_path, 0o666)
        Door(settings.paths.supervisor_socket_path, sock)
        assert settings.paths.supervisor_socket_path.stat().st_mode & 0o777 == 0o600


def test_a_supervisor_that_does_not_end_is_the_error(settings, monkeypatch):
    monkeypatch.setattr(supervisor_lock, "_PATIENCE_S", 0.1)
    path = settings.paths.supervisor_lock_path
    path.parent.mkdir(mode=0o700, exist_ok=True, parents=True)
    held = SupervisorLock.take(path)
    assert held is not None
    with held:
        stubborn = subprocess.Popen(
            ["sh", "-c", 'trap "" TERM; echo deaf; exec sleep 1000'],
            pass_fds=[held.fd],
            stdout=subprocess.PIPE,
        )
        assert stubborn.stdout is not None
        assert stubborn.stdout.readline() == b"deaf\n"
    try:
        with pytest.raises(Timeout, match="another supervisor holds"):
            SupervisorLock.take_over(path)
    finally:
        stubborn.kill()
        stubborn.communicate()


def test_who_merely_looks_at_the_lock_is_not_ended(settings):
    path = settings.paths.supervisor_lock_path
    path.parent.mkdir(mode=0o700, exist_ok=True, parents=True)
    path.touch()
    with path.open() as looked_at:
        onlooker = subprocess.Popen(["sleep", "1000"], stdin=looked_at)
    holder = SupervisorLock.take(path)
    assert holder is not None
    with holder:
        owner = subprocess.Popen(["sleep", "1000"], pass_fds=[holder.fd])
    with SupervisorLock.take_over(path):
        assert owner.wait(10) == -signal.SIGTERM
        assert onlooker.poll() is None
    onlooker.kill()
    onlooker.wait()


# --- what is handed over


@contextmanager
def third_descriptor(sock: socket.socket | None) -> Iterator[None]:
    """A child's, in which descriptor 3 is `sock`: pytest has one of its own there."""
    try:
        kept = os.dup(3)
    except OSError:
        kept = -1
    if sock is None:
        with open(os.devnull) as null:
            os.dup2(null.fileno(), 3)
    else:
        os.dup2(sock.fileno(), 3)
    try:
        yield
    finally:
        os.close(3)
        if kept >= 0:
            os.dup2(kept, 3)
            os.close(kept)


def environ(**more: str) -> dict[str, str]:
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "HOME": "/"} | more


@pytest.mark.parametrize(
    "given", [{"LISTEN_PID": "1"}, {"LISTEN_PID": ""}, {"LISTEN_FDS": "0"}, {"LISTEN_FDS": ""}]
)
def test_what_is_for_another_process_is_left_alone_and_forgotten(settings, given):
    variables = environ(**given)
    assert handed_over(settings.paths.supervisor_socket_path, variables) is None
    assert variables == {"HOME": "/"}


def test_its_own_socket_is_taken_and_no_child_inherits_it(settings):
    variables = environ()
    with systemds(settings) as sock, third_descriptor(sock):
        taken = handed_over(settings.paths.supervisor_socket_path, variables)
        assert taken is not None
        assert not taken.get_inheritable()
        taken.detach()
    assert variables == {"HOME": "/"}


def test_its_directory_may_be_reached_by_a_link(settings):
    link = settings.paths.run.parent / "link"
    with systemds(settings) as sock, third_descriptor(sock):
        link.symlink_to(settings.paths.run)
        taken = handed_over(link / settings.paths.supervisor_socket_path.name, environ())
        assert taken is not None
        taken.detach()


def test_anything_else_is_refused_with_what_was_wanted(settings, tmp_path):
    path = settings.paths.supervisor_socket_path
    path.parent.mkdir(mode=0o700, exist_ok=True, parents=True)
    other, idle = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    network = socket.create_server(("127.0.0.1", 0))
    bind(other, path.with_name("other.sock"))
    other.listen()
    bind(idle, path)
    for sock, said in ((other, "other.sock"), (idle, "listens"), (network, "listens"), (None, "no socket")):
        with third_descriptor(sock), pytest.raises(HostUnsupported, match=said) as refused:
            handed_over(path, environ())
        assert str(path) in str(refused.value)
        assert "firkin setup" in refused.value.hint
    with pytest.raises(HostUnsupported, match="2 sockets"):
        handed_over(path, environ(LISTEN_FDS="2"))
    for sock in (other, idle, network):
        sock.close()


def socket_activate(path: Path, command: list[str]) -> subprocess.Popen[bytes]:
    """Systemd's, which gives what it starts an environment of a few names."""
    named = [f"-E{name}" for name in os.environ if name.startswith(("XDG_", "FIRKIN_", "TMPDIR"))]
    told = ["systemd-socket-activate", "-l", str(path), *named, *command]
    started = subprocess.Popen(told, stderr=subprocess.PIPE)
    assert started.stderr is not None
    assert b"Listening" in started.stderr.readline()
    return started


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="no systemd-socket-activate")
async def test_systemds_own_activation_starts_it_for_who_connects(settings):
    path = settings.paths.supervisor_socket_path
    command = words(settings)  # makes the directory
    systemd = socket_activate(path, command)
    try:
        await supervised.wake(settings)
        assert holders(settings.paths.supervisor_lock_path) == [systemd.pid]  # it became the supervisor
        assert path.stat().st_mode & 0o777 == 0o600
        await supervised.shutdown(settings)
        assert systemd.wait(10) == 0
    finally:
        systemd.terminate()
        systemd.communicate()
