"""Filters of few instructions, held against what libseccomp made of the same rules."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from firkin.engine import filters
from firkin.linux.folding import folded
from firkin.linux.libseccomp import compiled
from firkin.oci.seccomp import ChosenRule, chosen, parse
from firkin.process import capabilities
from tests.support.bpf import verdict

X86_64, I386, ARM = 0xC000003E, 0x40000003, 0x40000028
ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
ARGUMENTS = (0, 1, 2, 7, 40, 0x10000000, 0x7E020000, 2**32 - 1, 2**32, 2**32 + 1, 2**63, 2**64 - 1)
PROFILE = Path(filters.__file__).parents[1] / "process" / "data" / "seccomp.json"

names = some.sampled_from(
    ("read", "write", "close", "mount", "clone", "clone3", "socket", "personality", "statx")
)
THEIRS = (0, 1, 3, 4, 6, 21, 41, 56, 102, 120, 135, 136, 165, 332, 359, 383, 397, 435)
NUMBERS = sorted({number + beside for number in THEIRS for beside in (-1, 0, 1) if number + beside >= 0})
"""Theirs on x86-64, i386 and arm, and their neighbours."""
tests = some.tuples(
    some.integers(0, 5), some.integers(1, 7), some.sampled_from(ARGUMENTS), some.sampled_from(ARGUMENTS)
)
rules = some.lists(
    some.tuples(names, some.sampled_from((ALLOW, KILL, EPERM, ENOSYS)), some.lists(tests, max_size=2)),
    max_size=12,
)
architectures = some.sets(some.sampled_from(("x86", "x32", "arm"))).map(tuple)


def same(one: bytes, other: bytes, calls: list[tuple[int, ...]]) -> None:
    for arch in (X86_64, I386, ARM, 0xC00000B7):
        for number, *arguments in calls:
            seen = [verdict(program, number, *arguments, arch=arch) for program in (one, other)]
            assert seen[0] == seen[1], (hex(arch), number, arguments)


@pytest.mark.parametrize("bounding", [capabilities.DEFAULT.bounding, 0, capabilities.ALL])
def test_the_default_filter_becomes_a_fifth_and_answers_every_call_as_before(bounding: int) -> None:
    left = chosen(
        parse(PROFILE.read_text()), bounding=capabilities.names(bounding), machine="x86_64", kernel="6.1"
    )
    program = compiled(left.default, left.architectures, left.rules)
    shorter = folded(program)
    assert len(shorter) * 5 < len(program)
    numbers = [*range(560), *range(0x40000000 - 1, 0x40000000 + 560), 2**31, 2**32 - 1]
    calls = [(number, value) for number in numbers for value in (0, 40, 0x10000000)]
    same(program, shorter, calls)


@given(rules, some.sampled_from((ALLOW, KILL, EPERM)), architectures, some.data())
def test_whatever_libseccomp_makes_answers_as_before(
    asked: list[tuple[str, int, list[tuple[int, int, int, int]]]],
    default: int,
    others: tuple[str, ...],
    data: some.DataObject,
) -> None:
    wanted: dict[tuple[str, bool], ChosenRule] = {}
    for name, answer, conditions in asked:
        distinct = {each[0]: each for each in conditions}
        wanted.setdefault((name, bool(distinct)), ChosenRule(name, answer, tuple(distinct.values())))
    chosen_rules = [
        rule for (name, conditional), rule in wanted.items()
        if rule.verdict != default and not (conditional and (name, False) in wanted)
    ]  # fmt: skip
    program = compiled(default, ("x86_64", *others), chosen_rules)
    numbers = [*NUMBERS, *(0x40000000 + number for number in NUMBERS), 2**32 - 1]
    arguments = data.draw(some.lists(some.sampled_from(ARGUMENTS), min_size=6, max_size=6))
    same(program, folded(program), [(number, *arguments) for number in numbers])


def test_what_is_of_another_form_stays_as_it_is() -> None:
    def program(*steps: tuple[int, int, int, int]) -> bytes:
        return b"".join(struct.pack("=HBBI", *step) for step in steps)

    bits = program((0x20, 0, 0, 0), (0x45, 0, 1, 2), (6, 0, 0, KILL), *[(6, 0, 0, ALLOW)] * 9)
    sums = program((0x20, 0, 0, 0), (0x04, 0, 0, 1), (6, 0, 0, ALLOW), (6, 0, 0, KILL))
    endless = program((0x20, 0, 0, 0), (0x15, 0, 200, 2), (6, 0, 0, KILL))
    assert [folded(each) for each in (bits, sums, endless)] == [bits, sums, endless]


def test_answers_that_are_far_apart_are_reached() -> None:
    """A conditional jump passes 255 instructions at most."""
    many = [ChosenRule(name, EPERM + place) for place, name in enumerate(_every_name(), 1)]
    program = compiled(KILL, ("x86_64", "x86"), many)
    shorter = folded(program)
    assert len(shorter) < len(program)
    same(program, shorter, [(number,) for number in range(500)])


def _every_name() -> list[str]:
    found = parse(PROFILE.read_text()).syscalls or ()
    return list(dict.fromkeys(name for rule in found for name in rule.names))
