"""Words of any bytes as values that JSON can hold."""

from __future__ import annotations

import os

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from firkin.engine.environment import merge_environment, parse_environment
from firkin.engine.spawn_op import spawn_op
from firkin.engine.words import run_options
from firkin.process.raw import kept, raw, shown
from firkin.process.spec import ProcessSpec
from firkin.wire.messages import op_map

words = st.binary().filter(lambda content: b"\0" not in content)


@given(words)
def test_any_bytes_come_back_through_json(content: bytes) -> None:
    for word in (content, os.fsdecode(content)):
        assert raw(msgspec.json.decode(msgspec.json.encode(kept(word)), type=str)) == content
        assert bool(shown(kept(word)).encode()) == bool(content)


@given(words, words)
def test_no_two_words_are_kept_alike(one: bytes, other: bytes) -> None:
    assert (kept(one) == kept(other)) == (one == other)


def test_text_is_kept_as_it_is() -> None:
    assert (kept("é"), kept("é".encode()), shown(kept(b"a\xff"))) == ("é", "é", "a\\xff")


def test_bytes_reach_the_wire_from_every_way_of_writing_them() -> None:
    asked = run_options("i", ["a", b"\xff"], env={"A": b"\xfe", "B": "text"})
    env = (*asked.env, *parse_environment([b"C=\xfd"]))
    op = op_map(spawn_op("c", ProcessSpec(args=asked.command, env=env)))
    assert op["args"] == ["a", b"\xff"]
    assert op["env"] == [b"A=\xfe", "B=text", b"C=\xfd"]


def test_a_variable_of_bytes_meets_the_same_one_of_text() -> None:
    assert merge_environment(["A=1"], parse_environment([b"A=\xff"]), ["B=2"]) == (kept(b"A=\xff"), "B=2")
    assert merge_environment(parse_environment([b"A=\xff"]), ["A"]) == ()
