"""Quantities are exact."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.errors import UsageError
from firkin.kube.quantity import format_bytes, format_cpus, parse, parse_bytes


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100m", Fraction(1, 10)),
        ("1", Fraction(1)),
        (1, Fraction(1)),
        (0.1, Fraction(1, 10)),
        ("64Mi", Fraction(64 << 20)),
        ("1.5Gi", Fraction(3 << 29)),
        ("1k", Fraction(1000)),
        ("5n", Fraction(5, 10**9)),
        ("12e3", Fraction(12000)),
        ("1E", Fraction(10**18)),
        ("1E2", Fraction(100)),
        (".5", Fraction(1, 2)),
        ("3.", Fraction(3)),
        ("+2u", Fraction(2, 10**6)),
        ("9007199254740993", Fraction(9007199254740993)),
    ],
)
def test_each_form_is_what_kubernetes_means(text: object, value: Fraction) -> None:
    assert parse("x", text) == value


@pytest.mark.parametrize(
    "text", ["", "m", "1 Mi", "-1", "1KI", "0x10", True, None, [], "1e999", "1e1.5", "9" * 40]
)
def test_anything_else_is_refused_by_the_name_of_its_field(text: object) -> None:
    with pytest.raises(UsageError, match=r"^spec\.x: "):
        parse("spec.x", text)


@given(st.integers(0, 1 << 60))
def test_bytes_are_written_as_they_are_read(size: int) -> None:
    assert parse_bytes("x", format_bytes(size)) == size


@given(st.integers(1, 256_000))
def test_processors_are_written_as_they_are_read(thousandths: int) -> None:
    assert parse("x", format_cpus(thousandths / 1000)) == Fraction(thousandths, 1000)


def test_a_part_of_a_byte_is_one() -> None:
    assert parse_bytes("x", "1500m") == 2
