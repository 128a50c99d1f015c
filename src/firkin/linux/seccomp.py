"""Seccomp: a program opens files for reading only, from its first instruction on (seccomp(2)).

The rule: a filter only takes away. It is made in the parent as plain data; the child enters it last of all,
and neither it nor what it starts ever leaves it.

One open is answered without being one. QEMU opens the file of a machine's memory by open(path, O_RDWR), with
those flags alone, even where it maps the file privately, and keeps the descriptor: whoever takes that QEMU
over could change the memory that other machines start from. Under `reading_only` this very call opens
nothing and returns 0, the standard input, where the launcher has put the file, opened for reading. That is
what a filter does which lets a call "fail" with errno 0. No path is looked at, so there is nothing to race
with; nobody has to answer, so nobody waits; and a kernel that runs QEMU's own filter runs this one.

QEMU opens other things so (/dev/null, to learn of locks) and closes what it got, and another file could get
the number 0 then. So closing the standard input does nothing, and nothing else can be put there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from functools import cache

import msgspec

from firkin.errors import HostUnsupported
from firkin.linux.syscalls import PR_SET_NO_NEW_PRIVS, prctl

STDIN_PATH = "/dev/stdin/."
"""What to name where a program shall open its standard input with O_RDWR: a path that cannot be opened, so
that a program outside the filter, or one that asks with other flags, fails."""

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_ALLOW, _FAIL_WITH, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000  # SECCOMP_RET_*

# Instructions of classic BPF (linux/bpf_common.h), without the operand.
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT = 0x15, 0x35, 0x45
_INSTRUCTION = struct.Struct("=HBBI")
_NUMBER, _ARCH = 0, 4  # where in struct seccomp_data; of arguments the low half
_ARGUMENT_0, _ARGUMENT_1, _ARGUMENT_2 = 16, 24, 32

_X32_NUMBERS = 0x40000000
_OPENAT2, _IO_URING_SETUP, _CLOSE_RANGE = 437, 425, 436
_TMPFILE = 0o20000000  # os.O_TMPFILE holds O_DIRECTORY too

_Step = tuple[int, int] | tuple[int, int, str] | str
"""An instruction and its operand; for a jump the label, further on, where it leads; or a label."""


class _Machine(msgspec.Struct, frozen=True):
    """A machine's AUDIT_ARCH_*, its O_LARGEFILE, and the numbers of its system calls (asm/unistd.h)."""

    arch: int
    large_file: int
    openat: int
    truncate: int
    open_by_handle_at: int
    close: int
    dup3: int
    dup2: int | None = None
    open: int | None = None
    creat: int | None = None


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 0o100000, 257, 76, 304, 3, 292, dup2=33, open=2, creat=85),
    "aarch64": _Machine(0xC00000B7, 0o400000, 56, 45, 265, 57, 24),
}


@cache
def reading_only(*, devices: bool = False, machine: str | None = None) -> bytes:
    """The filter for `enter`, for this machine or the one that uname(2) would call `machine`.

    O_RDWR alone: 0, the standard input, which is never closed or replaced. Other opens for writing, O_CREAT,
    O_TRUNC, O_TMPFILE, creat(2), truncate(2): EACCES. What opens without showing a filter its flags
    (openat2(2), open_by_handle_at(2), io_uring(7)): ENOSYS. Another architecture's calls: SIGSYS. With
    `devices`, O_RDWR together with further flags is left to other walls: QEMU opens /dev/kvm with
    O_RDWR | O_CLOEXEC.

    Raises HostUnsupported for a machine whose numbers are not known here.
    """
    name = machine or os.uname().machine
    if name not in _MACHINES:
        raise HostUnsupported(
            f"no seccomp filter for QEMU on {name}: its system calls are not known here",
            hint="use an x86-64 or arm64 host",
        )
    return _assembled([*_by_call(_MACHINES[name]), *_by_flags(_MACHINES[name], devices), *_verdicts()])


def enter(program: bytes) -> None:
    """Enter the filter for good; sets no_new_privs first, as the kernel demands. Raises OSError."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    loaded = _FilterProgram(len(program) // _INSTRUCTION.size, program)
    prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(loaded))


class _FilterProgram(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _by_call(machine: _Machine) -> list[_Step]:
    decided = (
        (machine.close, "close"),
        (machine.openat, "openat"),
        (machine.open, "open"),
        (machine.dup2, "dup"),
        (machine.dup3, "dup"),
        (_CLOSE_RANGE, "close range"),
        (machine.creat, "denied"),
        (machine.truncate, "denied"),
        (machine.open_by_handle_at, "absent"),
        (_OPENAT2, "absent"),
        (_IO_URING_SETUP, "absent"),
    )
    return [
        (_LOAD, _ARCH),
        (_IF_EQUAL, machine.arch, "native"),
        (_RETURN, _KILL_PROCESS),
        "native",
        (_LOAD, _NUMBER),
        (_IF_AT_LEAST, _X32_NUMBERS, "foreign"),
        *((_IF_EQUAL, number, verdict) for number, verdict in decided if number is not None),
        (_RETURN, _ALLOW),
    ]


def _by_flags(machine: _Machine, devices: bool) -> list[_Step]:
    return [
        "close",
        (_LOAD, _ARGUMENT_0),
        (_IF_EQUAL, 0, "standard input"),
        (_RETURN, _ALLOW),
        "close range",
        (_LOAD, _ARGUMENT_0),
        (_IF_EQUAL, 0, "denied"),
        (_RETURN, _ALLOW),
        "dup",
        (_LOAD, _ARGUMENT_1),
        (_IF_EQUAL, 0, "denied"),
        (_RETURN, _ALLOW),
        "open",
        (_LOAD, _ARGUMENT_1),
        (_IF_AT_LEAST, 0, "flags"),
        "openat",
        (_LOAD, _ARGUMENT_2),
        "flags",
        (_AND, 0xFFFFFFFF ^ machine.large_file),  # which musl adds everywhere
        (_IF_EQUAL, os.O_RDWR, "standard input"),
        (_IF_ANY_BIT, os.O_CREAT | os.O_TRUNC | _TMPFILE, "denied"),
        (_AND, os.O_ACCMODE),
        (_IF_EQUAL, os.O_RDONLY, "allowed"),
        *([(_IF_EQUAL, os.O_RDWR, "allowed")] if devices else []),
    ]


def _verdicts() -> list[_Step]:
    return [
        "denied",
        (_RETURN, _FAIL_WITH | errno.EACCES),
        "allowed",
        (_RETURN, _ALLOW),
        "standard input",
        (_RETURN, _FAIL_WITH | 0),
        "absent",
        (_RETURN, _FAIL_WITH | errno.ENOSYS),
        "foreign",
        (_RETURN, _KILL_PROCESS),
    ]


def _assembled(steps: list[_Step]) -> bytes:
    """struct sock_filter, one for each instruction; a jump that is not taken goes on with the next."""
    labels: dict[str, int] = {}
    instructions: list[tuple[int, int] | tuple[int, int, str]] = []
    for step in steps:
        if isinstance(step, str):
            labels[step] = len(instructions)
        else:
            instructions.append(step)
    program = b""
    for after, step in enumerate(instructions, 1):
        distance = labels[step[2]] - after if len(step) == 3 else 0
        program += _INSTRUCTION.pack(step[0], distance, 0, step[1])
    return program
