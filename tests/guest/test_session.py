"""Hosts that come, go and come back: nothing that the agent took, or owes, is lost."""

from __future__ import annotations

import os
import random
import socket
import struct

import pytest

from tests.guest.driver import CONTROL, DATA, SYNC, Host, agent, frame

LINES = b"".join(b"line %d\n" % number for number in range(60_000))
COUNT = "i=0; while [ $i -lt 60000 ]; do echo line $i; i=$((i+1)); done"


@pytest.fixture
def listening(namespaces, tmp_path, monkeypatch):
    """An agent on a listening socket: connect() is a host that comes."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("agent.sock")
        server.listen(4)
        with agent(server):

            def connect() -> socket.socket:
                sock = socket.socket(socket.AF_UNIX)
                sock.connect("agent.sock")
                return sock

            yield connect


def test_requests_may_follow_the_sync_without_waiting(serving):
    host = Host(serving())
    host._nonce = os.urandom(16)
    host.sock.sendall(frame(SYNC, 0, host._nonce))
    request = host.post_spawn(1, "echo", "one round trip", stdout=11)
    assert host.answer(request)["pid"] > 0
    assert host.hello["v"] == 1
    assert host.hello["ready_ns"] >= host.hello["began_ns"] > 0
    assert host.read_to_end(11) == b"one round trip\n"


def test_output_survives_hosts_that_die_without_a_word(listening):
    first = Host(listening())
    first.sync()
    first.spawn(1, "sh", "-c", COUNT, stdout=11)
    output, chance = first.output, random.Random(7)
    host = first
    for _ in range(8):
        goal = len(output[11]) + chance.randrange(1, 30_000)
        host.until(lambda goal=goal, host=host: len(output[11]) > goal or 11 in host.ends, "output")
        host.sock.close()
        host = Host(listening())
        host.output = output
        (proc,) = host.sync(resume=True)["procs"]
        assert (proc["proc"], proc["stdout"], proc["container"]) == (1, 11, "")
        host.take(11)
    assert host.read_to_end(11) == LINES
    assert host.wait_hello(1) == 0


def test_bulk_output_is_sent_again_as_it_was(listening, tmp_path):
    """Frames are made where the bytes lie: what they cover meanwhile comes back."""
    content, chance = random.Random(3).randbytes(2_000_003), random.Random(8)
    (tmp_path / "bulk").write_bytes(content)
    host = Host(listening(), acknowledge=False)
    host.sync()
    host.spawn(1, "cat", str(tmp_path / "bulk"), stdout=11)
    taken = bytearray()
    while 11 not in host.ends or len(host.output[11]) < len(content):
        goal = min(len(taken) + 200_000, len(content))
        host.until(lambda goal=goal, host=host: len(host.output[11]) >= goal, "output")
        taken = host.output[11][: len(taken) + chance.randrange(1, 200_000)]
        if len(host.output[11]) == len(content):
            break
        host.sock.close()
        host = Host(listening(), acknowledge=False)
        host.output[11] = bytearray(taken)
        host.sync(resume=True)
        host.take(11)
    assert host.output[11] == content


def test_a_half_frame_is_neither_taken_nor_in_the_way(listening):
    for cut in (1, 5, 12, 13, 20, 21, 40, 60):
        host = Host(listening())
        hello = host.sync(resume=True)
        known = {proc["proc"] for proc in hello["procs"]}
        if not known:
            host.spawn(1, "cat", stdin=10, stdout=11)
        whole = frame(DATA, 10, struct.pack("<Q", 0) + b"half of this was sent, then the host died")
        host.sock.sendall(whole[:cut])
        host.sock.close()
    host = Host(listening())
    assert host.sync(resume=True)["procs"][0]["stdin_offset"] == 0
    host.take(11)
    host.write(10, b"whole")
    host.end(10)
    assert host.read_to_end(11) == b"whole"


def test_a_half_frame_on_one_and_the_same_stream_ends_with_the_padding(host):
    """As in a machine: the port never closes, so the next host's bytes follow the dead one's."""
    host.spawn(1, "cat", stdin=10, stdout=11)
    host.spawn(2, "cat", stdin=20, stdout=21)
    for kind, stream, payload in (
        (DATA, 10, struct.pack("<Q", 0) + bytes(60_000)),
        (CONTROL, 0, bytes(500_000)),
    ):
        host.sock.sendall(frame(kind, stream, payload)[:100])
        host = Host(host.sock)
        offsets = {proc["proc"]: proc["stdin_offset"] for proc in host.sync(resume=True)["procs"]}
        assert offsets == {1: 0, 2: 0}
    host.take(21)
    host.write(20, b"unhurt")
    host.end(20)
    assert host.read_to_end(21) == b"unhurt"


def test_what_ended_while_nobody_listened_is_told(listening):
    host = Host(listening())
    host.sync()
    host.spawn(1, "sh", "-c", "read go; echo bye; exit 9", stdin=10, stdout=11)
    host.spawn(2, "true", stdin=20)
    host.wait(2)
    host.write(10, b"\n")
    host.until(lambda: host.credit.get(10) == 1, "credit for the line")
    host.sock.close()
    again = Host(listening())
    again.sync()
    again.until(lambda: 20 in again.broken, "the BREAK of an earlier session")
    while again.wait_hello(1) is None:
        again.sock.close()  # what is on its way to this host is not the next one's
        again = Host(listening())
        again.sync()
    assert again.wait_hello(1) == 9
    again.take(11)
    assert again.read_to_end(11) == b"bye\n"
    again.ask("forget", proc=1)
    last = Host(again.sock)
    assert [proc["proc"] for proc in last.sync()["procs"]] == [2]


def test_input_goes_on_where_the_agent_says(listening):
    host = Host(listening())
    host.sync()
    host.spawn(1, "cat", stdin=10, stdout=11)
    host.write(10, b"first,")
    host.sock.close()
    again = Host(listening())
    again.sync(resume=True)
    again.until(lambda: 10 in again.credit, "the credit of an input stream")
    assert again.offsets[10] in (0, 6)
    again.take(11)
    again.write(10, b"first,second"[again.offsets[10] :])
    again.end(10)
    assert again.read_to_end(11) == b"first,second"


def test_a_newer_host_takes_the_place_of_one_that_hangs(listening):
    silent = listening()
    host = Host(listening())
    assert host.sync()["procs"] == []
    assert host.run(1, "echo", "served")[1] == b"served\n"
    silent.close()


def test_bytes_before_the_first_sync_are_dropped(serving):
    host = Host(serving())
    host.sock.sendall(os.urandom(100_000).replace(b"\x01", b"\x02") + frame(CONTROL, 0, b"\x80"))
    assert host.sync()["procs"] == []


def test_the_agent_ends_with_its_only_host(serving):
    sock = serving()
    host = Host(sock)
    host.sync()
    host.spawn(1, "sleep", "1000", stdout=11)
    sock.shutdown(socket.SHUT_WR)
    with pytest.raises((EOFError, ConnectionResetError)):
        host.until(lambda: False, "end of the stream")
