"""Connections of the host's into a container, and out of it, over the agent's stream alone."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import stat
import subprocess
import sys

import pytest

from firkin.linux.unix_socket import connect
from tests.guest.driver import ALL_CAPS, Host, Refused, agent

BUSY = 1 << 20


def raise_loopback(host):
    assert host.run(900, "busybox", "ip", "link", "set", "lo", "up", caps=ALL_CAPS)[0] == 0


@pytest.fixture
def c1(box, host):
    """A container that runs, in a network of its own whose loopback is up."""
    raise_loopback(host)
    box.running(host)
    return host


def serve(host, proc, port, program="cat"):
    """A server in the container that gives each connection to `program`; it listens when this returns."""
    host.spawn(proc, "nc", "-ll", "-p", str(port), "-e", *program.split(), container="c1")
    listens = f"until grep -q ':{port:04X} ' /proc/net/tcp /proc/net/tcp6; do :; done"
    assert host.run(proc + 500, "sh", "-c", listens)[0] == 0


def test_a_port_is_connected_to_and_each_direction_ends_by_itself(c1):
    serve(c1, 2, 8080, "sha256sum")
    assert c1.connect(3, port=8080) == 0
    data = os.urandom(BUSY)
    c1.write(31, data)
    c1.end(31)  # only its reading ends by that: it answers behind it
    assert c1.read_to_end(32).split()[0] == hashlib.sha256(data).hexdigest().encode()
    c1.ask("hangup", connection=3)
    with pytest.raises(Refused) as refused:
        c1.ask("hangup", connection=3)
    assert refused.value.errno == errno.ENOENT


def test_datagrams_come_and_go_whole_and_nothing_but_a_hangup_is_their_end(box, namespaces):
    ours, theirs = socket.socketpair()
    with ours, agent(theirs) as child:
        host = Host(ours)
        host.sync()
        raise_loopback(host)
        box.running(host)
        assert host.connect(3, port=9000, datagrams=True) == 0  # whether somebody is there, or not
        host.write(31, framed(b"nobody") + framed(b"there"))  # each tells of the one before by an error
        largest = os.urandom(65507)
        sent = framed(b"one") + framed(largest) + framed(b"") + framed(b"four")
        enter = ["nsenter", f"--net=/proc/{child.pid}/ns/net"]
        with subprocess.Popen([*enter, sys.executable, "-c", ECHO], **PIPES) as echo:
            assert echo.stdout.readline() == b"listening\n"
            host.write(31, sent[:1])
            host.write(31, sent[1:40000])  # in pieces, none of which is a datagram
            host.write(31, sent[40000:])
            host.until(lambda: len(host.output[32]) >= len(sent), "the answers")
            assert bytes(host.output[32]) == sent
            for number in range(1, 9):  # more than a window each way
                host.take(32)
                host.write(31, framed(largest))
                host.until(lambda n=number: len(host.output[32]) >= len(sent) + n * 65509, "the rest")
            assert bytes(host.output[32][len(sent) :]) == framed(largest) * 8
            echo.stdin.close()
        assert host.connect(5, path="/tmp/x", datagrams=True) == errno.EPROTOTYPE
        host.ask("hangup", connection=3)
        assert host.connect(3, port=9000, datagrams=True) == 0  # its number is free again
        host.write(31, framed(b"x" * 9)[:5])
        host.end(31)  # in the middle of one, which is lost


# Answers each datagram at port 9000 with itself, until its standard input ends.
ECHO = """
import select, socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 9000))
print("listening", flush=True)
while sock in select.select([sock, sys.stdin], [], [])[0]:
    sock.sendto(*sock.recvfrom(65536))
"""
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}


def framed(data):
    return len(data).to_bytes(2, "big") + data


def test_what_nobody_listens_on_is_refused_with_the_reason(c1, box):
    (box.root / "tmp/file").touch()
    assert c1.connect(3, port=1) == errno.ECONNREFUSED
    assert c1.connect(3, path="/tmp/none") == errno.ENOENT
    assert c1.connect(3, path="/tmp/file") == errno.ENOTSOCK
    assert c1.connect(3, port=1, address="::1") in (errno.ECONNREFUSED, errno.EADDRNOTAVAIL)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"container": "c2", "port": 1}, errno.ENOENT),
        ({"port": 65536}, errno.EINVAL),
        ({"path": "relative"}, errno.EINVAL),
        ({"port": 1, "input": 31}, errno.EINVAL),
        ({"port": 1, "output": 0}, errno.EINVAL),
        ({"port": 1, "connection": 5}, errno.EEXIST),
        ({"port": 1, "input": 51}, errno.EEXIST),
        ({"port": 1, "what": 1}, errno.EINVAL),
    ],
)
def test_a_wrong_request_is_refused(c1, fields, why):
    serve(c1, 2, 8080)
    assert c1.connect(5, port=8080) == 0
    with pytest.raises(Refused) as refused:
        c1.ask("connect", **{"connection": 3, "container": "c1", "input": 32, "output": 31, **fields})
    assert refused.value.errno == why


def client(box, path):
    """A connection to a socket of the container's from outside of it, by the file that both see."""
    return connect(box.root / path)


def listen(host, listener=1, **fields):
    return host.ask("listen", listener=listener, container="c1", **fields)


def test_a_socket_appears_with_its_mode_and_owner_and_hands_over_who_connects(c1, box):
    listen(c1, path="/run/deep/app.sock", mode=0o620, uid=1000, gid=29)
    made = (box.root / "run/deep/app.sock").stat()
    assert (stat.S_ISSOCK(made.st_mode), made.st_mode & 0o777) == (True, 0o620)
    assert (made.st_uid, made.st_gid) == (1000, 29)
    for connection in (3, 4):
        with client(box, "run/deep/app.sock") as ours:
            ours.sendall(b"question")
            ours.shutdown(socket.SHUT_WR)
            c1.until(lambda: 1 in c1.incoming, "incoming")
            assert c1.accept(1, connection)
            assert not c1.accept(1, 99)
            assert c1.read_to_end(connection * 10 + 2) == b"question"
            c1.write(connection * 10 + 1, b"answer")
            c1.end(connection * 10 + 1)
            assert ours.makefile("rb").read() == b"answer"
    c1.ask("unlisten", listener=1)
    assert not (box.root / "run/deep/app.sock").exists()


def test_a_port_is_listened_on_and_the_kernel_chooses_where_it_is_0(c1):
    port = listen(c1, port=0)["port"]
    c1.spawn(2, "sh", "-c", f"echo over tcp | nc 127.0.0.1 {port}", container="c1")
    c1.until(lambda: 1 in c1.incoming, "incoming")
    assert c1.accept(1, 3)
    assert not c1.accept(1, 4)
    assert c1.read_to_end(32) == b"over tcp\n"


def test_a_path_leads_nowhere_out_of_the_root(c1, box, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (box.root / "tmp/link").symlink_to(outside)
    listen(c1, path="/tmp/link/app.sock")
    assert not list(outside.iterdir())
    assert c1.connect(3, path="/tmp/link/app.sock") == 0


def test_only_a_socket_that_nobody_listens_on_is_replaced(c1, box):
    listen(c1, path="/tmp/app.sock")
    (box.root / "tmp/file").write_text("precious")
    (box.root / "tmp/link").symlink_to("app.sock")
    for path in ("/tmp/app.sock", "/tmp/file", "/tmp/link"):
        with pytest.raises(Refused) as refused:
            listen(c1, listener=2, path=path)
        assert (refused.value.errno, refused.value.object) == (errno.EADDRINUSE, path)
    assert (box.root / "tmp/file").read_text() == "precious"
    again = Host(c1.sock)
    again.sync()  # the listener went with its session, and left its file
    assert (box.root / "tmp/app.sock").exists()
    listen(again, path="/tmp/app.sock")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"path": "/"}, errno.EINVAL),
        ({"path": "/tmp/.."}, errno.EINVAL),
        ({"path": "/tmp/" + "n" * 100}, errno.ENAMETOOLONG),
        ({"path": "/tmp/s", "mode": 0o1777}, errno.EINVAL),
        ({"path": "/etc/passwd/s"}, errno.ENOTDIR),
        ({"port": 1, "address": "localhost"}, errno.EINVAL),
        ({"port": 1, "address": "203.0.113.1"}, errno.EADDRNOTAVAIL),
        ({"port": 1, "container": "c2"}, errno.ENOENT),
    ],
)
def test_a_place_that_cannot_be_listened_on_is_refused(c1, fields, why):
    with pytest.raises(Refused) as refused:
        c1.ask("listen", **{"listener": 1, "container": "c1", **fields})
    assert refused.value.errno == why
    listen(c1, path="/tmp/fine")  # and nothing is left of it


def test_a_reader_that_stands_still_stalls_its_connection_and_nobody_else(serving, box):
    host = Host(serving(), acknowledge=False)
    host.sync()
    raise_loopback(host)
    box.running(host)
    serve(host, 2, 8080, "yes")
    assert host.connect(3, port=8080) == 0
    host.until(lambda: len(host.output[32]) == 1 << 18, "a full window")
    assert host.run(4, "echo", "through")[1] == b"through\n"
    assert len(host.output[32]) == 1 << 18
    host.cut(32)
    host.ask("hangup", connection=3)


def test_connections_and_listeners_are_bounded(c1):
    listen(c1, listener=1000, path="/tmp/app.sock")
    for listener in range(1, 64):
        listen(c1, listener=listener, port=0)
    with pytest.raises(Refused) as refused:
        listen(c1, listener=64, port=0)
    assert refused.value.errno == errno.EMFILE
    for connection in range(1000, 1256):
        assert c1.connect(connection, path="/tmp/app.sock") == 0
        assert c1.accept(1000, connection + 1000)
    with pytest.raises(Refused) as refused:
        c1.connect(3000, path="/tmp/app.sock")
    assert refused.value.errno == errno.EMFILE
    c1.ask("hangup", connection=1000)
    assert c1.connect(3000, path="/tmp/app.sock") == 0
    with pytest.raises(Refused) as refused:
        c1.accept(1000, 4000)
    assert refused.value.errno == errno.EMFILE
    assert c1.run(5, "echo", "fine")[1] == b"fine\n"


def test_what_was_said_last_arrives_though_its_container_ended(c1, box):
    listen(c1, path="/tmp/app.sock")
    with client(box, "tmp/app.sock") as ours:
        c1.until(lambda: 1 in c1.incoming, "incoming")
        assert c1.accept(1, 3)
        c1.ask("signal", proc=1, signal=9)
        assert c1.wait(1) == 137
        assert c1.run(4, "echo", "idle")[0] == 0
        ours.sendall(bytes(100_000))
    assert len(c1.read_to_end(32)) == 100_000
    with pytest.raises(Refused) as refused:
        c1.accept(1, 4)
    assert refused.value.errno == errno.ENOENT
