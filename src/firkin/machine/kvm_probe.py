"""Does a guest really run on this /dev/kvm? Asked of a forked child, which may hang for ever, with a
deadline.

The rule: only the whole expected output of machine.kvm_guest is a yes.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import select
import signal
import struct
import time
from typing import Literal

from firkin.machine import kvm_guest as guest

Answer = Literal["runs", "hangs", "is broken"]

_API_VERSION = 12
_GET_API_VERSION, _CREATE_VM, _GET_VCPU_MMAP_SIZE = 0xAE00, 0xAE01, 0xAE04
_CREATE_VCPU, _SET_TSS_ADDR, _RUN = 0xAE41, 0xAE47, 0xAE80
_SET_USER_MEMORY_REGION = 0x4020AE46
_SET_REGS, _GET_SREGS, _SET_SREGS = 0x4090AE82, 0x8138AE83, 0x4138AE84
_GET_SUPPORTED_CPUID, _SET_CPUID2 = 0xC008AE05, 0x4008AE90
_EXIT_IO, _EXIT_HLT = 2, 5
_HALTED = b"!"
_CPUID_ENTRIES = 256


def probe(device: str, timeout_s: float = 0.5) -> Answer:
    """What a guest does on the host's KVM, `device`. Raises OSError where it or a fork cannot be had."""
    kvm_fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
        if pid == 0:
            _child(kvm_fd, write_fd)
    finally:
        os.close(write_fd)
        os.close(kvm_fd)
    try:
        output, ended = _collect(read_fd, time.monotonic() + timeout_s)
    finally:
        os.close(read_fd)
        os.kill(pid, signal.SIGKILL)
        _reap(pid)
    if output == guest.EXPECTED + _HALTED:
        return "runs"
    return "is broken" if ended else "hangs"


def _collect(read_fd: int, deadline: float) -> tuple[bytes, bool]:
    """What the guest wrote until it ended (True) or the deadline came."""
    output = b""
    while (left := deadline - time.monotonic()) > 0 and select.select([read_fd], [], [], left)[0]:
        data = os.read(read_fd, 64)
        output += data
        if not data or not (guest.EXPECTED + _HALTED).startswith(output):
            return output, True
    return output, False


def _reap(pid: int) -> None:
    """A child that is stuck in the kernel may not die at once; it is not waited for longer than 200 ms."""
    for _ in range(100):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.002)


def _child(kvm_fd: int, write_fd: int) -> None:
    """Run the guest, copying what it writes. Never returns."""
    try:
        _run_guest(kvm_fd, write_fd)
    finally:
        os._exit(0)


def _run_guest(kvm_fd: int, write_fd: int) -> None:
    if fcntl.ioctl(kvm_fd, _GET_API_VERSION) != _API_VERSION:
        return
    vm_fd = fcntl.ioctl(kvm_fd, _CREATE_VM, 0)
    fcntl.ioctl(
        vm_fd, _SET_TSS_ADDR, 0xFFFBD000 - (1 << 32)
    )  # Intel without unrestricted guest needs three pages
    memory = mmap.mmap(-1, guest.MEMORY_BYTES)
    memory[:] = bytes(guest.memory())
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fcntl.ioctl(vm_fd, _SET_USER_MEMORY_REGION, struct.pack("<IIQQQ", 0, 0, 0, guest.MEMORY_BYTES, address))
    vcpu_fd = fcntl.ioctl(vm_fd, _CREATE_VCPU, 0)
    run = mmap.mmap(vcpu_fd, fcntl.ioctl(kvm_fd, _GET_VCPU_MMAP_SIZE))
    _set_up_cpu(kvm_fd, vcpu_fd)
    while True:
        try:
            fcntl.ioctl(vcpu_fd, _RUN, 0)
        except InterruptedError:
            continue
        (reason,) = struct.unpack_from("<I", run, 8)
        if reason != _EXIT_IO:
            os.write(write_fd, _HALTED if reason == _EXIT_HLT else b"?")
            return
        (data_offset,) = struct.unpack_from("<Q", run, 40)
        os.write(write_fd, run[data_offset : data_offset + 1])


def _set_up_cpu(kvm_fd: int, vcpu_fd: int) -> None:
    """Put the virtual CPU where a boot loader would leave it: long mode, paging on, at the guest's entry."""
    cpuid = bytearray(8 + 40 * _CPUID_ENTRIES)
    struct.pack_into("<I", cpuid, 0, _CPUID_ENTRIES)
    fcntl.ioctl(kvm_fd, _GET_SUPPORTED_CPUID, cpuid)
    fcntl.ioctl(vcpu_fd, _SET_CPUID2, cpuid)
    special = bytearray(fcntl.ioctl(vcpu_fd, _GET_SREGS, bytes(0x138)))
    fcntl.ioctl(vcpu_fd, _SET_SREGS, bytes(_long_mode(special)))
    # rax..rdi, rsp at 6, rbp, r8..r15, rip at 16, rflags at 17 (struct kvm_regs)
    registers = [0] * 18
    registers[6], registers[16], registers[17] = guest.STACK, guest.ENTRY, 2
    fcntl.ioctl(vcpu_fd, _SET_REGS, struct.pack("<18Q", *registers))


def _long_mode(special: bytearray) -> bytearray:
    """struct kvm_sregs: eight segments of 24 bytes, GDT, IDT, control registers, EFER."""
    code = _segment(0, 0xFFFFFFFF, guest.KERNEL_CODE, kind=11, long=1, granular=1)
    data = _segment(0, 0xFFFFFFFF, guest.KERNEL_DATA, kind=3, big=1, granular=1)
    task = _segment(guest.TSS, guest.TSS_LIMIT, guest.TASK, kind=11, system=1)
    unused = _segment(0, 0xFFFF, 0, kind=2, system=1)
    segments = b"".join((code, data, data, data, data, data, task, unused))
    special[: len(segments)] = segments
    struct.pack_into("<QH6xQH6x", special, 192, guest.GDT, guest.GDT_LIMIT, guest.IDT, guest.IDT_LIMIT)
    struct.pack_into("<QQQQQQ", special, 224, guest.CR0, 0, guest.PAGE_TABLES, guest.CR4, 0, guest.EFER)
    return special


def _segment(
    base: int,
    limit: int,
    selector: int,
    *,
    kind: int,
    long: int = 0,
    big: int = 0,
    granular: int = 0,
    system: int = 0,
) -> bytes:
    """struct kvm_segment, present, of ring 0."""
    return struct.pack(
        "<QIHBBBBBBBBBB", base, limit, selector, kind, 1, 0, big, 1 - system, long, granular, 0, 0, 0
    )
