"""Requests: answered in order, refused with a reason, and never the end of PID 1."""

from __future__ import annotations

import errno
import random

import msgspec
import pytest

from tests.guest.driver import CONTROL, Host, Refused, frame, spawn_fields


def test_a_batch_answers_for_each_and_stops_at_the_first_failure(host):
    ops = [
        {"op": "spawn", **spawn_fields(1, "echo", "one", stdout=11)},
        {"op": "spawn", **spawn_fields(2, "no-such-program")},
        {"op": "spawn", **spawn_fields(3, "echo", "three", stdout=31)},
    ]
    with pytest.raises(Refused) as refused:
        host.ask("batch", ops=ops)
    assert (refused.value.index, refused.value.step, refused.value.object) == (1, "exec", "no-such-program")
    assert host.read_to_end(11) == b"one\n"
    assert [proc["proc"] for proc in Host(host.sock).sync()["procs"]] == [1]
    assert host.ask("batch", ops=[]) == {"results": []}


@pytest.mark.parametrize(
    ("op", "fields", "object_"),
    [
        ("spin", {}, "op spin"),
        ("forget", {}, "proc (missing)"),
        ("forget", {"proc": -1}, "proc"),
        ("forget", {"proc": 1 << 32}, "proc"),
        ("forget", {"proc": "1"}, "proc"),
        ("forget", {"proc": 1, "colour": "red"}, "colour (unknown)"),
        ("batch", {"ops": [{"op": "batch", "ops": []}]}, "batch"),
        ("batch", {"ops": [{"op": "sync", "id": 1}]}, "id"),
        ("batch", {"ops": 3}, "ops"),
        ("spawn", spawn_fields(1), "args (empty)"),
        ("spawn", spawn_fields(1, "a\0b"), "args"),
        ("spawn", spawn_fields(1, "x", caps={}), "bounding (missing)"),
    ],
)
def test_a_request_that_is_none_is_refused_by_what_is_wrong_with_it(host, op, fields, object_):
    with pytest.raises(Refused) as refused:
        host.ask(op, **fields)
    assert refused.value.object == object_
    assert host.run(1, "echo", "fine")[1] == b"fine\n"


@pytest.mark.parametrize(
    ("op", "fields"),
    [
        ("clock", {"sec": 0, "nsec": 0}),
        ("entropy", {"seed": bytes(32)}),
        ("load", {"modules": ["virtio"]}),
        ("network", {"interface": "lo"}),
        ("guard", {"address": "10.0.2.2"}),
    ],
)
def test_a_namespace_does_not_touch_the_machine(host, op, fields):
    with pytest.raises(Refused) as refused:
        host.ask(op, **fields)
    assert (refused.value.errno, refused.value.step) == (errno.EPERM, op)


def test_what_cannot_even_be_answered_ends_the_session_alone(serving):
    host = Host(serving())
    host.sync()
    for payload in (b"\xc1", b"\x80", b"\x81\xa2id\xa1x", b"\x93" * 400, b"\x82\xa2id\x01\xa2op\xa4sync!"):
        host.send(frame(CONTROL, 0, payload))
        host = Host(host.sock)
        assert host.sync()["procs"] == []
    assert host.run(1, "echo", "fine")[1] == b"fine\n"


def test_rubbish_never_ends_the_agent(serving):
    host = Host(serving())
    host.sync()
    chance = random.Random(2)
    valid = msgspec.msgpack.encode({"id": 1, "op": "spawn", **spawn_fields(9, "true", stdout=91)})
    for _ in range(300):
        broken = bytearray(valid)
        for _ in range(chance.randrange(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        host.send(frame(CONTROL, 0, bytes(broken)))
    again = Host(host.sock)
    again.sync(resume=True)
    assert again.run(1000, "echo", "fine")[1] == b"fine\n"


def test_arguments_may_be_long_and_may_be_too_long(host):
    long = "x" * 100_000
    assert len(host.run(1, "echo", *[long] * 8)[1]) == 800_008
    with pytest.raises(Refused) as refused:
        host.spawn(2, "echo", *["y"] * 40_000)
    assert refused.value.errno == errno.E2BIG
    with pytest.raises(Refused) as refused:
        host.spawn(3, "echo", "z" * 200_000)
    assert (refused.value.step, refused.value.errno) == ("exec", errno.E2BIG)


def test_names_that_are_not_utf8_are_listed_all_the_same(host):
    host.spawn(1, "sh", "-c", "sleep 1000; :", b"\xff\xfe")
    rows = host.ask("ps", container="")["processes"]
    assert ["sh", "-c", "sleep 1000; :", "??"] in [row["args"] for row in rows]


def test_poweroff_ends_everything(host, box):
    box.running(host)
    host.spawn(2, "sleep", "1000")
    host.post("poweroff", sync=False)
    with pytest.raises((EOFError, ConnectionResetError)):
        host.until(lambda: False, "the end of the stream")
