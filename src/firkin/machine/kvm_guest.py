"""A program of a few dozen instructions that tells a working KVM from one that only opens: values, no system
calls.

It runs in long mode with paging on and uses what a kernel needs in its first milliseconds: MSRs, CPUID,
faults through an IDT, ring 3, SYSCALL and INT back. At each step it writes a letter to port 0xE9, so where it
stops is known. The same bytes run under QEMU's TCG, which is how the tests judge them.

    0x1000 code    0x2000 ring 3    0x3000.. handlers    0x4000 IDT    0x5000 GDT    0x6000 TSS
    below 0x8000 ring 0's stack     below 0xA000 ring 3's stack        0x10000.. page tables: 2 MiB, as is
"""

from __future__ import annotations

import struct

MEMORY_BYTES = 2 << 20
PORT = 0xE9
EXPECTED = b"ABCDPUYVS"
"""A long mode, B CR3, C MSRs, D #UD, P #PF, U ring 3, Y SYSCALL, V back in ring 3, S INT 0x80; then HLT."""

ENTRY, STACK = 0x1000, 0x8000
GDT, GDT_LIMIT = 0x5000, 7 * 8 - 1
IDT, IDT_LIMIT = 0x4000, 0x81 * 16 - 1
TSS, TSS_LIMIT = 0x6000, 0x67
PAGE_TABLES = 0x10000
KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA, TASK = 0x08, 0x10, 0x18, 0x20, 0x28
CR0 = 0x80010031  # paging, write protect, numeric errors, protected mode
CR4 = 0x20  # physical address extension
EFER = 0xD00  # no-execute, long mode active and enabled; the program itself adds SYSCALL

_USER, _USER_STACK, _UNMAPPED = 0x2000, 0xA000, 0x400000
_ON_UD, _ON_PF, _ON_INT, _ON_SYSCALL = 0x3000, 0x3100, 0x3200, 0x3300
_MSR_EFER, _MSR_STAR, _MSR_LSTAR, _MSR_FMASK = 0xC0000080, 0xC0000081, 0xC0000082, 0xC0000084
_RFLAGS_IOPL3 = 0x3002

_IRETQ, _UD2, _SYSCALL, _HLT = b"\x48\xcf", b"\x0f\x0b", b"\x0f\x05", b"\xf4"
_PUSH_RAX, _POP_RAX, _PUSH_RCX = b"\x50", b"\x58", b"\x51"
_SKIP_TWO_BYTES = (
    b"\x48\x83\x04\x24\x02"  # add qword [rsp], 2: the return address, past the faulting instruction
)
_DROP_ERROR_CODE = b"\x48\x83\xc4\x08"  # add rsp, 8


def memory() -> bytearray:
    """The guest's memory, 2 MiB, as it is before the first instruction."""
    image = bytearray(MEMORY_BYTES)
    for address, part in _parts().items():
        image[address : address + len(part)] = part
    return image


def _parts() -> dict[int, bytes]:
    return {
        ENTRY: _kernel(),
        _USER: _say("U") + _SYSCALL + _say("V") + b"\xcd\x80" + b"\xeb\xfe",
        _ON_UD: _PUSH_RAX + _say("D") + _POP_RAX + _SKIP_TWO_BYTES + _IRETQ,
        _ON_PF: _PUSH_RAX + _say("P") + _POP_RAX + _DROP_ERROR_CODE + _SKIP_TWO_BYTES + _IRETQ,
        _ON_INT: _say("S") + _HLT,
        _ON_SYSCALL: _say("Y") + _to_user(_PUSH_RCX),
        IDT: _idt(),
        GDT: struct.pack("<7Q", *_descriptors()),
        TSS + 4: struct.pack("<Q", STACK),
        PAGE_TABLES: struct.pack("<Q", PAGE_TABLES + 0x1007),
        PAGE_TABLES + 0x1000: struct.pack("<Q", PAGE_TABLES + 0x2007),
        PAGE_TABLES + 0x2000: struct.pack("<Q", 0x87),  # present, writable, ring 3's, 2 MiB
    }


def _kernel() -> bytes:
    return b"".join(
        (
            _say("A"),
            b"\x0f\x20\xd8\x0f\x22\xd8",  # mov rax, cr3; mov cr3, rax
            _say("B"),
            b"\x31\xc0\x0f\xa2",  # xor eax, eax; cpuid
            b"\xb9"
            + struct.pack("<I", _MSR_EFER)
            + b"\x0f\x32\x83\xc8\x01\x0f\x30",  # rdmsr; or eax, 1; wrmsr
            _write_msr(_MSR_LSTAR, _ON_SYSCALL),
            _write_msr(_MSR_STAR, KERNEL_CODE << 32 | KERNEL_DATA << 48),
            _write_msr(_MSR_FMASK, 0),
            _say("C"),
            b"\xb8" + struct.pack("<I", TASK) + b"\x0f\x00\xd8",  # mov eax, TASK; ltr ax
            _UD2,
            b"\x48\xc7\xc0" + struct.pack("<I", _UNMAPPED) + b"\x8a\x00",  # mov rax, unmapped; mov al, [rax]
            _to_user(_push(_USER)),
        )
    )


def _say(letter: str) -> bytes:
    """mov al, letter; out PORT, al"""
    return b"\xb0" + letter.encode() + b"\xe6" + bytes([PORT])


def _push(value: int) -> bytes:
    return b"\x68" + struct.pack("<I", value)


def _to_user(push_address: bytes) -> bytes:
    """Build an interrupt frame and leave through it for ring 3, where port 0xE9 is open (IOPL 3)."""
    frame = _push(USER_DATA | 3) + _push(_USER_STACK) + _push(_RFLAGS_IOPL3) + _push(USER_CODE | 3)
    return frame + push_address + _IRETQ


def _write_msr(number: int, value: int) -> bytes:
    low, high = value & 0xFFFFFFFF, value >> 32
    return (
        b"\xb9"
        + struct.pack("<I", number)
        + b"\xb8"
        + struct.pack("<I", low)
        + b"\xba"
        + struct.pack("<I", high)
        + b"\x0f\x30"
    )


def _idt() -> bytes:
    table = bytearray(IDT_LIMIT + 1)
    for vector, handler, ring in ((6, _ON_UD, 0), (14, _ON_PF, 0), (0x80, _ON_INT, 3)):
        struct.pack_into("<HHBBHII", table, vector * 16, handler, KERNEL_CODE, 0, 0x8E | ring << 5, 0, 0, 0)
    return bytes(table)


def _descriptors() -> tuple[int, ...]:
    """Null; kernel code and data; user code and data; the two halves of the task state's."""
    task = TSS_LIMIT | TSS << 16 | 0x89 << 40
    return 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF, 0x00AFFB000000FFFF, 0x00CFF3000000FFFF, task, 0
