"""Folding: a seccomp filter of few instructions that answers as a given one does.

A kernel turns a filter into its own instructions, and tries it with the number of each system call, whenever
a process enters it; under emulation that is most of what starting a small program costs. libseccomp tests
each number by itself. Here a filter is walked with ranges of numbers for every architecture that it knows
(linux/seccomp.h: struct seccomp_data), neighbours that are answered alike become one range, and a search
among ranges is written anew. The rule: each call gets what it got before. A filter of a form that is not
understood stays as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

_INSTRUCTION = struct.Struct("=HBBI")
_LOAD, _AND, _GO, _RETURN = 0x20, 0x54, 0x05, 0x06  # linux/bpf_common.h
_EQUAL, _GREATER, _AT_LEAST, _ANY_BIT = 0x15, 0x25, 0x35, 0x45
_NUMBER, _ARCH = 0, 4  # offsets in struct seccomp_data
_EVERY_BIT = 0xFFFFFFFF
_FARTHEST = 255
_MOST_ALONE = 4
_WHOLE_NUMBER = (_NUMBER, _EVERY_BIT)

_Operand = tuple[int, int]
"""An offset in struct seccomp_data, and a mask."""


class _Verdict(NamedTuple):
    value: int


class _Test(NamedTuple):
    """Whether what the operand names compares so with the constant, and what follows."""

    operand: _Operand
    code: int
    constant: int
    taken: _Decision
    left: _Decision


_Decision = _Verdict | _Test

_Range = tuple[int, _Decision]
"""The first number, and what holds from there to the next range."""


class _Step(NamedTuple):
    """An instruction, and what follows it: nothing, the next one, or one of two."""

    code: int
    constant: int
    followers: tuple[_Step, ...] = ()


class _NotUnderstood(Exception):
    """The filter has a form that libseccomp does not make."""


def folded(program: bytes) -> bytes:
    """A filter that answers as `program` does, or `program` itself where no shorter one was found."""
    try:
        walk = _Walk(list(_INSTRUCTION.iter_unpack(program)))
        decision: _Decision = _search(walk.ranges(None))
        for arch in reversed(walk.architectures):
            own = _search(walk.ranges(arch))
            decision = own if own == decision else _Test((_ARCH, _EVERY_BIT), _EQUAL, arch, own, decision)
        shorter = _assembled(_step(decision))
    except _NotUnderstood:
        return program
    return min(shorter, program, key=len)


class _Walk:
    """A filter's instructions, run for ranges of numbers rather than for one."""

    def __init__(self, instructions: list[tuple[int, int, int, int]]) -> None:
        self._instructions = instructions
        self.architectures: dict[int, None] = {}
        """Those that a walk for none of them has met, in the filter's order."""

    def ranges(self, arch: int | None) -> list[_Range]:
        """What each range of numbers gets on `arch`, None for all that have no name; neighbours differ."""
        found: list[_Range] = []
        ahead = [(0, (_NUMBER, 0), 0, _EVERY_BIT)]  # where, what is loaded, first and last number
        while ahead:
            at, operand, first, last = ahead.pop()
            split = self._until_split(at, operand, arch, first, last)
            if isinstance(split, list):
                ahead += reversed(split)
            elif not found or found[-1][1] != split:
                found.append((first, split))
        return found

    def _until_split(
        self, at: int, operand: _Operand, arch: int | None, first: int, last: int
    ) -> _Decision | list[tuple[int, _Operand, int, int]]:
        """What all numbers of the range get; or where parts of it part, in their order."""
        while True:
            code, yes, no, constant = self._at(at)
            at += 1
            if code == _RETURN:
                return _Verdict(constant)
            if code == _GO:
                at += constant
            elif code in (_LOAD, _AND):
                operand = _loaded(code, operand, constant)
            elif operand[0] not in (_NUMBER, _ARCH):
                return self._decision(at - 1, operand, arch, first, last)
            elif (holds := self._known(operand, code, constant, arch, first, last)) is not None:
                at += yes if holds else no
            else:
                return [
                    (at + (yes if _holds(code, start, constant) else no), operand, start, end)
                    for start, end in _parts(code, constant, first, last)
                ]

    def _decision(self, at: int, operand: _Operand, arch: int | None, first: int, last: int) -> _Decision:
        """What follows at a test of an argument."""
        code, yes, no, constant = self._at(at)
        ways = [self._until_split(at + 1 + way, operand, arch, first, last) for way in (yes, no)]
        taken, left = ways
        if isinstance(taken, list) or isinstance(left, list):
            raise _NotUnderstood
        return taken if taken == left else _Test(operand, code, constant, taken, left)

    def _known(
        self, operand: _Operand, code: int, constant: int, arch: int | None, first: int, last: int
    ) -> bool | None:
        """Whether a test of the architecture or the number holds; None where some numbers pass it."""
        offset, mask = operand
        if code not in (_EQUAL, _GREATER, _AT_LEAST, _ANY_BIT) or mask != _EVERY_BIT:
            raise _NotUnderstood
        if offset == _ARCH:
            if code != _EQUAL:
                raise _NotUnderstood
            self.architectures[constant] = None
            return arch == constant
        if first == last:
            return _holds(code, first, constant)
        parts = _parts(code, constant, first, last)
        return _holds(code, first, constant) if len(parts) == 1 else None

    def _at(self, at: int) -> tuple[int, int, int, int]:
        if at >= len(self._instructions):
            raise _NotUnderstood
        return self._instructions[at]


def _loaded(code: int, operand: _Operand, constant: int) -> _Operand:
    return (constant, _EVERY_BIT) if code == _LOAD else (operand[0], operand[1] & constant)


def _parts(code: int, constant: int, first: int, last: int) -> list[tuple[int, int]]:
    """The range, cut where the test's answer changes."""
    if code == _ANY_BIT:
        raise _NotUnderstood
    cuts = {_EQUAL: (constant, constant + 1), _GREATER: (constant + 1,), _AT_LEAST: (constant,)}[code]
    edges = [first, *(cut for cut in cuts if first < cut <= last), last + 1]
    return [(start, end - 1) for start, end in pairwise(edges)]


def _holds(code: int, number: int, constant: int) -> bool:
    if code == _ANY_BIT:
        return bool(number & constant)
    return {_EQUAL: number == constant, _GREATER: number > constant, _AT_LEAST: number >= constant}[code]


def _search(ranges: list[_Range]) -> _Decision:
    """A search among the ranges that halves what is left; single numbers among equals are tested alone."""
    return _halved(list(_islands(ranges)))


def _islands(ranges: list[_Range]) -> Iterator[_Range]:
    """The ranges, those joined that differ by a few single numbers."""
    at = 0
    while at < len(ranges):
        first, around = ranges[at]
        decision, most = around, at + 2 * _MOST_ALONE
        while at + 2 < len(ranges) and at < most and _alone(ranges[at : at + 3], around):
            number, own = ranges[at + 1]
            decision = _Test(_WHOLE_NUMBER, _EQUAL, number, own, decision)
            at += 2
        yield first, decision
        at += 1


def _alone(ranges: list[_Range], around: _Decision) -> bool:
    """Whether the middle one is one number, and what is beside it gets `around`."""
    return ranges[2][1] == around and ranges[2][0] == ranges[1][0] + 1


def _halved(ranges: list[_Range]) -> _Decision:
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, above = ranges[:middle], ranges[middle:]
    return _Test(_WHOLE_NUMBER, _AT_LEAST, above[0][0], _halved(above), _halved(below))


def _step(decision: _Decision, loaded: _Operand | None = None) -> _Step:
    """The instructions of a decision, taken with `loaded` in the accumulator."""
    if isinstance(decision, _Verdict):
        return _Step(_RETURN, decision.value)
    operand = decision.operand
    ways = (_step(decision.taken, operand), _step(decision.left, operand))
    test = _Step(decision.code, decision.constant, ways)
    if operand == loaded:
        return test
    offset, mask = operand
    return _Step(_LOAD, offset, (test if mask == _EVERY_BIT else _Step(_AND, mask, (test,)),))


def _assembled(first: _Step) -> bytes:
    """Written from its end, so that each step knows how far away its followers are; each is written once."""
    written: list[bytes] = []
    places: dict[_Step, int] = {}

    def append(code: int, constant: int, jumps: tuple[int, int] = (0, 0)) -> int:
        written.append(_INSTRUCTION.pack(code, *jumps, constant))
        return len(written) - 1

    def write(step: _Step) -> int:
        jumps = (0, 0)
        if len(step.followers) == 1:
            lead_to(step.followers[0], farthest=0)
        elif step.followers:
            lead_to(step.followers[1])
            lead_to(step.followers[0])
            lead_to(step.followers[1])  # again, where the other one is long
            jumps = (distance(step.followers[0]), distance(step.followers[1]))
        places[step] = append(step.code, step.constant, jumps)
        return places[step]

    def lead_to(step: _Step, farthest: int = _FARTHEST - 1) -> None:
        """Write it, or a jump to it, unless the next instruction reaches it."""
        if step not in places or (distance(step) > farthest and not step.followers):
            write(step)
        elif distance(step) > farthest:
            places[step] = append(_GO, distance(step))

    def distance(step: _Step) -> int:
        """From the next instruction."""
        return len(written) - 1 - places[step]

    write(first)
    return b"".join(reversed(written))
