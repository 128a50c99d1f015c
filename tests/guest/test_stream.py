"""Streams: offsets, credit, and one stream that stalls while others go on."""

from __future__ import annotations

import os
import struct

import pytest

from tests.guest.driver import CREDIT, DATA, EOF, WINDOW, Host, Refused, frame


def test_an_unread_stream_stops_at_its_window_and_stalls_nobody(serving):
    host = Host(serving(), acknowledge=False)
    host.sync()
    host.spawn(1, "sh", "-c", "yes stalled; echo never", stdout=11)
    host.until(lambda: len(host.output[11]) == WINDOW, "a full window")
    for proc in range(2, 6):
        status, out, _ = host.run(proc, "echo", "through")
        assert (status, out) == (0, b"through\n")
    assert len(host.output[11]) == WINDOW
    host.take(11)
    host.until(lambda: len(host.output[11]) == 2 * WINDOW, "a second window")
    host.ask("signal", proc=1, signal=9)
    assert host.wait(1) == 128 + 9


def test_a_stalled_error_stream_does_not_stall_the_output_of_the_same_process(serving):
    host = Host(serving(), acknowledge=False)
    host.sync()
    script = "(head -c 1000000 /dev/zero >&2 &) ; echo out"
    host.spawn(1, "sh", "-c", script, stdout=11, stderr=12)
    assert host.read_to_end(11) == b"out\n"
    host.until(lambda: len(host.output[12]) == WINDOW, "a full window")
    host.acknowledge = True
    host.take(12)
    host.read_to_end(12)
    assert bytes(host.output[12]) == bytes(1_000_000)


def test_bulk_output_arrives_whole(host):
    host.spawn(1, "sh", "-c", "head -c 20000000 /dev/urandom | tee /dev/stderr", stdout=11, stderr=12)
    assert host.read_to_end(11) == host.read_to_end(12)
    assert len(host.output[11]) == 20_000_000


def test_many_streams_at_once_stay_apart(host):
    procs = range(1, 41)
    for proc in procs:
        host.post_spawn(proc, "sh", "-c", f"yes {proc:03d} | head -c 40000", stdout=proc)
    for proc in procs:
        assert host.read_to_end(proc) == f"{proc:03d}\n".encode() * 10_000


def test_input_beyond_the_pipe_waits_in_the_agent_and_is_credited_as_it_is_read(host):
    host.spawn(1, "sh", "-c", "read go; cat | sha256sum", stdin=10, stdout=11)
    data = b"go\n" + os.urandom(WINDOW - 3)
    host.write(10, data)
    assert host.run(2, "echo", "meanwhile")[1] == b"meanwhile\n"
    host.write(10, os.urandom(100_000))
    assert host.credit[10] > 0
    host.end(10)
    assert host.read_to_end(11)
    host.until(lambda: host.credit[10] == WINDOW + 100_000, "credit for everything")


def test_input_that_is_less_than_half_a_window_is_credited_once_nothing_more_comes(host):
    host.spawn(1, "cat", stdin=10, stdout=11)
    for end in (1, 70_000):
        host.write(10, os.urandom(end - host.offsets[10]))
        host.until(lambda end=end: host.credit.get(10) == end, "credit for what cat has read")
    host.end(10)
    assert len(host.read_to_end(11)) == 70_000


def test_a_reader_that_leaves_breaks_the_stream_at_once(host):
    host.spawn(1, "sh", "-c", "exec <&-; read wait; sleep 1000", stdin=10)
    host.until(lambda: 10 in host.broken, "BREAK without a byte written")


def test_input_of_a_process_that_ended_is_broken(host):
    host.spawn(1, "true", stdin=10)
    host.wait(1)
    host.until(lambda: 10 in host.broken, "BREAK")
    host.send(frame(DATA, 10, struct.pack("<Q", 0) + b"too late"))
    assert host.run(2, "echo", "fine")[0] == 0


def test_a_writer_whose_reader_left_gets_a_sigpipe(host):
    host.spawn(1, "yes", stdout=11)
    host.until(lambda: len(host.output[11]) > 1000, "output")
    host.cut(11)
    assert host.wait(1) == 128 + 13


@pytest.mark.parametrize(
    "offence",
    [
        frame(DATA, 10, struct.pack("<Q", 5) + b"a gap"),
        frame(DATA, 10, struct.pack("<Q", 1 << 63) + b"a wrap"),
        frame(DATA, 10, struct.pack("<Q", (1 << 64) - 3) + b"a wrap"),
        frame(DATA, 11, struct.pack("<Q", 0) + b"wrong way"),
        frame(EOF, 10, struct.pack("<Q", 1)),
        frame(CREDIT, 11, struct.pack("<Q", 1)),
        frame(CREDIT, 10, struct.pack("<Q", 0)),
        frame(7, 1, b"what"),
        frame(DATA, 10, struct.pack("<Q", 0)),
        frame(DATA, 10, struct.pack("<Q", 0) + b"x")[:-1] + b"\x01",
    ],
)
def test_an_offence_ends_the_session_and_nothing_else(host, offence):
    host.spawn(1, "cat", stdin=10, stdout=11)
    host.send(offence)
    again = Host(host.sock)
    hello = again.sync()
    assert [(proc["proc"], proc["stdin_offset"], proc["exit"]) for proc in hello["procs"]] == [(1, 0, None)]
    again.take(11)
    again.write(10, b"still here\n")
    again.end(10)
    assert again.read_to_end(11) == b"still here\n"


def test_bytes_beyond_the_window_are_an_offence(host):
    host.spawn(1, "sleep", "1000", stdin=10)
    for offset in range(0, 4 * WINDOW, 65536):
        host.send(frame(DATA, 10, struct.pack("<Q", offset) + bytes(65536)))
    again = Host(host.sock)
    assert again.sync()["procs"][0]["stdin_offset"] <= WINDOW + WINDOW  # and what its pipe holds
    with pytest.raises(Refused):
        again.ask("forget", proc=1)


def test_frames_of_a_forgotten_stream_are_ignored(host):
    host.run(1, "echo", "x")
    host.ask("forget", proc=1)
    host.send(frame(CREDIT, 11, struct.pack("<Q", 2)) + frame(DATA, 10, struct.pack("<Q", 7) + b"late"))
    assert host.run(2, "echo", "fine")[1] == b"fine\n"
