"""Sockets into a container without a network, and out of it: dial and listen, whoever owns it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Iterator

import pytest

import firkin
from firkin import AsyncConnection, AsyncContainer, AsyncEngine, Container, Engine, Settings
from firkin.pytest import leaks
from firkin.pytest.home import Home, fresh_home, session_dir
from tests.support.images import busybox_tar

pytestmark = pytest.mark.machine

ECHO = "nc -ll -p 7 -e cat & nc -ll -p 8 -e sha256sum & nc -ll -p 9 -e yes & wait"


@pytest.fixture(scope="module")
def module_home() -> Iterator[Home]:
    with fresh_home() as home:
        home.share_cache(session_dir() / "shared" / "cache")
        yield home
        leaks.dismiss_supervisor(str(home.root))


@pytest.fixture(scope="module")
def engine(module_home: Home) -> Iterator[Engine]:
    with Engine(Settings.load(module_home.environ())) as engine:
        archive = module_home.root / "busybox.tar"
        archive.write_bytes(busybox_tar())
        engine.import_image(archive, "busybox")
        yield engine


@pytest.fixture(scope="module")
def owned(engine: Engine) -> Iterator[Container]:
    """A container of this process without a network; it echoes on port 7, hashes on 8, never ends on 9."""
    with engine.run("busybox", ["sh", "-c", ECHO], network="none", name="owned") as box:
        for port in (7, 8, 9):
            listens(box, port)
        yield box


def listens(box: Container, port: int) -> None:
    script = f"until grep -q ':{port:04X} .* 0A ' /proc/net/tcp /proc/net/tcp6; do usleep 20000; done"
    box.exec(["sh", "-c", script]).output(check=True, timeout=60)


@pytest.fixture(scope="module", params=["owned", "detached"])
def box(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Container]:
    """The same container from this process, and one like it of the supervisor's."""
    if request.param == "owned":
        yield request.getfixturevalue("owned")
        return
    with engine.run("busybox", ["sh", "-c", ECHO], network="none", detach=True) as box:
        for port in (7, 8, 9):
            listens(box, port)
        yield box


def test_a_port_is_dialled_and_each_direction_ends_by_itself(box: Container) -> None:
    data = os.urandom(3 << 20)
    with box.dial(8) as connection:
        connection.writer.write(data)
        connection.writer.close()
        assert connection.reader.read().split()[0] == hashlib.sha256(data).hexdigest().encode()


def test_bytes_come_back_whole_while_they_are_sent(box: Container) -> None:
    data = os.urandom(2 << 20)
    with box.dial("127.0.0.1:7") as connection:

        def send() -> None:
            connection.writer.write(data)
            connection.writer.close()

        sender = threading.Thread(target=send)
        sender.start()
        assert connection.reader.read() == data
        sender.join(60)


def test_one_that_is_not_read_stalls_nobody_and_can_be_ended(box: Container) -> None:
    with box.dial(9) as endless, box.dial(7) as other:
        assert endless.reader.readline() == b"y\n"
        other.writer.write(b"through\n")
        assert other.reader.readline() == b"through\n"
        other.writer.close()
        assert other.reader.read() == b""


def test_what_does_not_listen_is_an_error_that_names_it(box: Container) -> None:
    with pytest.raises(firkin.NotListening, match="port 4711 in container: Connection refused"):
        box.dial(4711)
    with pytest.raises(ConnectionError, match=r"/run/none\.sock in container: No such file"):
        box.dial("/run/none.sock")
    for wrong in ("-1", "70000", "host:80", "/", "relative"):
        with pytest.raises(firkin.UsageError, match=r"neither a TCP port|not the path|not an address"):
            box.dial(wrong)


def test_a_socket_appears_in_the_container_with_its_mode_and_owner(box: Container) -> None:
    with box.listen("/run/app/api.sock", mode=0o660, uid=1000, gid=50) as listener:
        shown = box.exec(["stat", "-c", "%F %a %u %g", "/run/app/api.sock"]).output(check=True, text=True)
        assert shown.stdout == "socket 660 1000 50\n"
        with box.dial("/run/app/api.sock") as inner, listener.accept(timeout=60) as outer:
            inner.writer.write(b"question\n")
            inner.writer.close()
            assert outer.reader.read() == b"question\n"
            outer.writer.write(b"answer\n")
            outer.writer.close()
            assert inner.reader.read() == b"answer\n"
    gone = box.exec(["ls", "/run/app"]).output(check=True)
    assert gone.stdout == b""


def test_waiting_for_who_never_comes_ends_in_an_error_that_names_it_and_the_seconds(box: Container) -> None:
    with box.listen(0) as listener:
        what = f"accepting a connection at port {listener.port} of container .* took longer than 0.05 s"
        with pytest.raises(firkin.Timeout, match=what):
            listener.accept(timeout=0.05)
        script = f"echo hello | nc 127.0.0.1 {listener.port}"
        with box.exec(["sh", "-c", script]), listener.accept(timeout=60) as connection:
            assert connection.reader.read() == b"hello\n"
        with pytest.raises(firkin.PortInUse, match="in use"):
            box.listen(listener.port)
    with pytest.raises(firkin.WrongState, match="was closed"):
        listener.accept(timeout=60)


async def test_many_connections_at_once_stay_apart(module_home: Home, owned: Container) -> None:
    async def ask(box: AsyncContainer, number: int) -> None:
        async with box.dial("/run/many.sock", timeout=120) as connection:
            said = f"{number}\n".encode() * 1000
            await connection.writer.write(said)
            connection.writer.close()
            assert await connection.reader.read() == said

    async def answer(connection: AsyncConnection) -> None:
        async with connection:
            await connection.writer.write(await connection.reader.read())

    async with AsyncEngine(Settings.load(module_home.environ())) as engine:
        box = await engine.container(owned.id)  # by its control socket
        async with box.listen("/run/many.sock") as listener, asyncio.TaskGroup() as group:
            asking = [group.create_task(ask(box, number)) for number in range(60)]
            for _ in asking:
                group.create_task(answer(await listener.accept(timeout=120)))


def test_what_a_server_says_last_arrives_though_its_container_ends_with_it(engine: Engine) -> None:
    serve = ["nc", "-l", "-p", "7", "-e", "head", "-c", "200000", "/dev/zero"]
    with engine.run("busybox", serve, network="none") as box:
        listens(box, 7)
        with box.dial(7) as connection:
            assert box.wait(60).code == 0
            assert len(connection.reader.read()) == 200_000


def test_a_connection_ends_with_its_container(engine: Engine) -> None:
    with engine.run("busybox", ["nc", "-l", "-p", "7", "-e", "sleep", "1000"], network="none") as box:
        listens(box, 7)
        connection, listener = box.dial(7), box.listen("/tmp/s")
        box.kill()
        assert box.wait(60).signal == 9
        with pytest.raises((firkin.MachineDied, firkin.WrongState)):
            listener.accept(timeout=60)
        connection.close()
        with pytest.raises(firkin.WrongState, match="not running"):
            box.dial(7)
