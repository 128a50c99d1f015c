"""The name server of a private network, as pure questions and answers."""

from __future__ import annotations

import ipaddress
import struct

from hypothesis import given
from hypothesis import strategies as st

from firkin.network.name_answers import MAX_QUERY_BYTES, Known, own_answer, parse

A, PTR, AAAA = 1, 12, 28
FOUR, SIX = bytes((10, 89, 0, 2)), ipaddress.ip_address("fd00::2").packed
TABLE = {"web": Known((FOUR, SIX)), "web.blue": Known((FOUR,))}


def query(name: str, kind: int = A, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes((len(each),)) + each.encode() for each in name.split(".")) + b"\0"
    return struct.pack("!6H", 7, flags, 1, 0, 0, 0) + labels + struct.pack("!HH", kind, 1)


def answered(asked: bytes, *, others: tuple[str, ...] = ()) -> tuple[int, list[tuple[int, bytes]]] | None:
    """The answer's code and records; None where others are to be asked."""
    question = parse(asked)
    assert question is not None
    answer = own_answer(asked, question, TABLE, others=others)
    if answer is None:
        return None
    number, flags, _, count, _, _ = struct.unpack_from("!6H", answer)
    assert (number, flags & 0x8000) == (7, 0x8000)
    assert answer[12 : question.end] == asked[12 : question.end]
    records, at = [], question.end
    for _ in range(count):
        _, kind, _, _, length = struct.unpack_from("!HHHIH", answer, at)
        records.append((kind, answer[at + 12 : at + 12 + length]))
        at += 12 + length
    assert at == len(answer)
    return flags & 15, records


def test_names_stand_for_addresses_of_the_kind_that_is_asked_for() -> None:
    assert answered(query("web")) == (0, [(A, FOUR)])
    assert answered(query("WEB", AAAA)) == (0, [(AAAA, SIX)])
    assert answered(query("web", 15)) == (0, [])
    assert answered(query("web.blue", AAAA)) == (0, [])


def test_an_address_stands_for_its_name() -> None:
    assert answered(query("2.0.89.10.in-addr.arpa", PTR)) == (0, [(PTR, b"\3web\0")])
    assert answered(query("9.0.89.10.in-addr.arpa", PTR)) is None


def test_names_of_one_label_are_nobodys_outside_and_others_are() -> None:
    assert answered(query("nobody")) == (3, [])
    assert answered(query("example.org")) is None
    assert answered(query("web", flags=0x2900)) == (4, [])


def test_who_is_on_several_networks_is_sent_to_the_others_for_their_names() -> None:
    assert answered(query("nobody"), others=("Green.1",)) == (5, [])
    assert answered(query("shop.GREEN.1"), others=("red", "Green.1")) == (5, [])
    assert answered(query("shop.green.1.org"), others=("Green.1",)) is None
    assert answered(query("web.blue"), others=("blue",)) == (0, [(A, FOUR)])


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_whole_question_or_gets_no_answer(data: bytes) -> None:
    question = parse(data)
    if question is not None:
        assert question.end <= len(data)
        answer = own_answer(data, question, TABLE, others=())
        assert answer is None or len(answer) <= question.end + 64


@given(st.data())
def test_a_query_that_is_cut_or_changed_never_fails(data: st.DataObject) -> None:
    asked = bytearray(query("web.blue.example.org", AAAA))
    asked[data.draw(st.integers(0, len(asked) - 1))] = data.draw(st.integers(0, 255))
    parse(bytes(asked[: data.draw(st.integers(0, len(asked)))]))


def test_answers_pointers_and_what_is_too_long_are_no_questions() -> None:
    good = query("web")
    assert parse(good) is not None
    assert parse(query("web", flags=0x8100)) is None
    assert parse(good[:12] + b"\xc0\x0c" + good[-4:]) is None
    assert parse(good + bytes(MAX_QUERY_BYTES)) is None
    assert parse(good[:4] + b"\0\2" + good[6:]) is None
    assert parse(query(".".join(["a" * 63] * 5))) is None
