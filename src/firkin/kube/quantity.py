"""Quantities as Kubernetes writes them, 100m, 64Mi, 1e3, exactly: no floating point on the way."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from firkin.kube.fields import bad

_SUFFIX = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    **{name: Fraction(1000**power) for power, name in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{name: Fraction(1024**power) for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}  # fmt: skip
_QUANTITY = re.compile(
    r"\+?(\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,2}))?"
)


def parse(path: str, said: object) -> Fraction:
    """The quantity at `path`, which YAML may have taken for a number. Raises UsageError."""
    text = str(said) if isinstance(said, str | int | float) and not isinstance(said, bool) else ""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise bad(path, f"{said!r} is not a quantity", "write such as 500m, 2, 64Mi or 1G")
    number, suffix, exponent = match.groups()
    factor = Fraction(10) ** int(exponent) if exponent else _SUFFIX[suffix or ""]
    return Fraction(number.rstrip(".")) * factor


def parse_bytes(path: str, said: object) -> int:
    """Bytes; a part of one counts as one, as in Kubernetes. Raises UsageError."""
    return math.ceil(parse(path, said))


def format_bytes(size_bytes: int) -> str:
    """`parse_bytes` of it is `size_bytes`."""
    for name, factor in reversed(_SUFFIX.items()):
        if name.endswith("i") and size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{name}"
    return str(size_bytes)


def format_cpus(cpus: float) -> str:
    """`parse` of it is `cpus`, as far as its thousandths go."""
    thousandths = round(cpus * 1000)
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)
