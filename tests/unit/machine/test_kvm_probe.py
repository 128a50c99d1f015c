"""The probe guest, run by QEMU's TCG: what it expects of a CPU is what a correct one does."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import time
from pathlib import Path

import pytest

from firkin.machine import accelerator, kvm_probe
from firkin.machine import kvm_guest as guest

_ENTRY = 0x100000


def pvh_kernel() -> bytes:
    """An ELF kernel that enters long mode as the probe does by KVM_SET_SREGS, then jumps to its entry."""
    stub = b"\xfa\xb8" + struct.pack("<I", guest.PAGE_TABLES) + b"\x0f\x22\xd8"  # cli; cr3
    stub += b"\xb8" + struct.pack("<I", guest.CR4) + b"\x0f\x22\xe0"
    stub += (
        b"\xb9" + struct.pack("<I", 0xC0000080) + b"\xb8" + struct.pack("<I", 0x900) + b"\x31\xd2\x0f\x30"
    )  # EFER
    stub += b"\xb8" + struct.pack("<I", guest.CR0) + b"\x0f\x22\xc0"
    stub += b"\x0f\x01\x15" + struct.pack("<I", _ENTRY + 0x100)  # lgdt
    stub += b"\x0f\x01\x1d" + struct.pack("<I", _ENTRY + 0x110)  # lidt
    stub += b"\x66\xb8\x10\x00\x8e\xd8\x8e\xc0\x8e\xd0\xbc" + struct.pack("<I", guest.STACK)
    stub += b"\xea" + struct.pack("<IH", guest.ENTRY, guest.KERNEL_CODE)
    high = stub.ljust(0x100, b"\0") + struct.pack("<HI", guest.GDT_LIMIT, guest.GDT).ljust(16, b"\0")
    high += struct.pack("<HI", guest.IDT_LIMIT, guest.IDT)
    low = bytes(guest.memory()[0x1000:0x13000])
    note = struct.pack("<III", 4, 4, 18) + b"Xen\0" + struct.pack("<I", _ENTRY)
    parts = [(1, 0x1000, 0x1000, low), (1, 0x14000, _ENTRY, high), (4, 0x800, 0x800, note)]
    image = bytearray(0x14000 + len(high))
    header = struct.pack("<16sHHIQQQI6H", b"\x7fELF\2\1\1", 2, 62, 1, _ENTRY, 64, 0, 0, 64, 56, 3, 64, 0, 0)
    image[: len(header)] = header
    for index, (kind, at, address, data) in enumerate(parts):
        size = len(data)
        struct.pack_into("<IIQQQQQQ", image, 64 + 56 * index, kind, 7, at, address, address, size, size, 1)
        image[at : at + size] = data
    return bytes(image)


def test_a_correct_cpu_gives_the_expected_output(tmp_path: Path) -> None:
    kernel = tmp_path / "probe.elf"
    kernel.write_bytes(pvh_kernel())
    argv = [
        "qemu-system-x86_64",
        "-nodefaults",
        "-display",
        "none",
        "-M",
        "microvm",
        "-accel",
        "tcg",
        "-cpu",
        "max",
    ]
    argv += ["-m", "64", "-kernel", str(kernel), "-debugcon", "stdio", "-no-reboot"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as qemu:
        assert qemu.stdout is not None
        output, deadline = b"", time.monotonic() + 20
        while len(output) < len(guest.EXPECTED) and time.monotonic() < deadline:
            if select.select([qemu.stdout], [], [], 1)[0]:
                output += os.read(qemu.stdout.fileno(), 64)
        qemu.kill()
    assert output == guest.EXPECTED


def test_the_probe_answers_within_its_deadline_whatever_this_hosts_kvm_is() -> None:
    if not os.access(accelerator.DEVICE, os.R_OK | os.W_OK):
        pytest.skip("needs a /dev/kvm that this user may open")
    begin = time.monotonic()
    assert kvm_probe.probe(accelerator.DEVICE) in ("runs", "hangs", "is broken")
    assert time.monotonic() - begin < 5


def test_a_device_that_is_no_kvm_is_broken() -> None:
    assert kvm_probe.probe(os.devnull) == "is broken"


def test_a_guest_that_never_ends_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm_probe, "_run_guest", lambda *_: time.sleep(60))
    begin = time.monotonic()
    assert kvm_probe.probe(os.devnull, timeout_s=0.1) == "hangs"
    assert time.monotonic() - begin < 5
