"""Decoder: from JSON and plain values to records, in any thread.

The rule: msgspec 0.22 crashes the process where two threads have it learn the same struct at once, so each
type is learnt under one lock, at its first use. What may be decoded in a thread comes through here.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import msgspec

_learning = threading.Lock()


def json_decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """What reads JSON as a `kind`, any type of msgspec's. Its decode() raises msgspec.DecodeError."""
    return _learnt(kind)


@cache
def _learnt(kind: Any) -> msgspec.json.Decoder[Any]:
    with _learning:
        return msgspec.json.Decoder(kind)


def convert(value: object, kind: Any) -> Any:
    """Plain `value` as a `kind`. Raises msgspec.ValidationError."""
    _learnt(kind)
    return msgspec.convert(value, kind)
