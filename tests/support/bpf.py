"""Classic BPF, as far as seccomp has it: what a filter answers, found without a kernel."""

from __future__ import annotations

import operator
import struct
from functools import lru_cache


def verdict(program: bytes, number: int, *arguments: int, arch: int = 0xC000003E) -> int:
    """What the filter returns for a call: classic BPF over struct seccomp_data."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *(*arguments, *[0] * 6)[:6])
    instructions = _instructions(program)
    at = accumulator = 0
    for _ in range(len(instructions)):
        code, yes, no, operand = instructions[at]
        at += 1
        if code == 0x20:  # load a word
            (accumulator,) = struct.unpack_from("=I", data, operand)
        elif code == 0x54:  # and
            accumulator &= operand
        elif code == 0x05:  # jump
            at += operand
        elif code & 0x07 == 0x05:
            compare = {0x10: operator.eq, 0x20: operator.gt, 0x30: operator.ge}[code & 0xF0]
            at += yes if compare(accumulator, operand) else no
        else:
            assert code == 0x06, f"{code:#x}"
            return operand
    raise AssertionError("no verdict")


@lru_cache(maxsize=4)
def _instructions(program: bytes) -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("=HBBI", program))
