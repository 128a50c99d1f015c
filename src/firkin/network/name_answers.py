"""DNS (RFC 1035) for the names of a private network: one question in, an answer out, or word that it is for
others to answer.

The rule: a query is bounded and wholly understood, or not answered; nothing of it is kept.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping, Sequence

import msgspec

PORT = 53
MAX_QUERY_BYTES = 4096
TTL_S = 5
"""Containers come and go."""
_HEADER = struct.Struct("!6H")
_QUESTION = struct.Struct("!HH")
_A, _PTR, _AAAA, _ANY, _IN = 1, 12, 28, 255, 1
_ANSWER, _AUTHORITY, _RECURSION, _AVAILABLE = 0x8000, 0x0400, 0x0100, 0x0080
_OPCODE = 0x7800
NO_ERROR, FAILED, NO_SUCH_NAME, NOT_IMPLEMENTED, REFUSED = 0, 2, 3, 4, 5
_TO_NAME = b"\xc0\x0c"
"""A pointer to the question's name."""


class Question(msgspec.Struct, frozen=True):
    """A query: its name in small letters, and where in it the question ends."""

    id: int
    flags: int
    name: str
    kind: int
    of: int
    end: int


class Known(msgspec.Struct, frozen=True):
    """Whom a name stands for: addresses of both kinds, in their bytes."""

    addresses: tuple[bytes, ...]


Table = Mapping[str, Known]


def parse(query: bytes) -> Question | None:
    """The question of `query`; None for what is none, which gets no answer."""
    if not _HEADER.size < len(query) <= MAX_QUERY_BYTES:
        return None
    number, flags, questions, answers, authorities, _ = _HEADER.unpack_from(query)
    if flags & _ANSWER or questions != 1 or answers or authorities:
        return None
    labels: list[bytes] = []
    at = _HEADER.size
    while True:
        if at >= len(query):
            return None
        length = query[at]
        if length == 0:
            break
        label = query[at + 1 : at + 1 + length]
        if length > 63 or len(label) != length or at - _HEADER.size > 254:
            return None
        labels.append(label)
        at += 1 + length
    if len(query) < at + 1 + _QUESTION.size:
        return None
    kind, of = _QUESTION.unpack_from(query, at + 1)
    name = b".".join(labels).decode("latin-1").lower()
    return Question(number, flags, name, kind, of, at + 1 + _QUESTION.size)


def own_answer(query: bytes, question: Question, table: Table, *, others: Sequence[str]) -> bytes | None:
    """The answer to `question`, where that is ours to give: names in `table`, those of addresses in it, and
    all of one label, which nobody outside has. None: somebody outside may know.

    Who is on `others` too has their name servers to ask: it is refused, not told that there is no such name.
    """
    if question.flags & _OPCODE:
        return reply(query, question, NOT_IMPLEMENTED)
    if (known := table.get(question.name)) is not None:
        return _records(query, question, _addresses(known, question.kind))
    if question.name.endswith(".arpa") and (names := _reverse(table).get(question.name)):
        wanted = question.kind in (_PTR, _ANY)
        return _records(query, question, [(_PTR, _encoded(names[0]))] if wanted else [])
    if "." not in question.name:
        return reply(query, question, REFUSED if others else NO_SUCH_NAME)
    if any(question.name.endswith(f".{other.lower()}") for other in others):
        return reply(query, question, REFUSED)
    return None


def reply(query: bytes, question: Question, code: int) -> bytes:
    """An answer without records."""
    return _header(question, code, 0) + query[_HEADER.size : question.end]


def _records(query: bytes, question: Question, found: list[tuple[int, bytes]]) -> bytes:
    records = b"".join(
        _TO_NAME + struct.pack("!HHIH", kind, _IN, TTL_S, len(data)) + data for kind, data in found
    )
    return _header(question, NO_ERROR, len(found)) + query[_HEADER.size : question.end] + records


def _header(question: Question, code: int, answers: int) -> bytes:
    flags = _ANSWER | _AUTHORITY | _AVAILABLE | question.flags & (_RECURSION | _OPCODE) | code
    return _HEADER.pack(question.id, flags, 1, answers, 0, 0)


def _addresses(known: Known, kind: int) -> list[tuple[int, bytes]]:
    typed = [(_A if len(each) == 4 else _AAAA, each) for each in known.addresses]
    return [each for each in typed if kind in (each[0], _ANY)]


def _reverse(table: Table) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, known in table.items():
        for each in known.addresses:
            found.setdefault(ipaddress.ip_address(each).reverse_pointer, []).append(name)
    return found


def _encoded(name: str) -> bytes:
    labels = (label.encode("latin-1") for label in name.split("."))
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
