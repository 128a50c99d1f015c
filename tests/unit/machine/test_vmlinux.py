"""The kernel within a bzImage, against this host's kernel package and the lz4 and xz programs."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from firkin.errors import Corrupt
from firkin.machine import vmlinux
from firkin.machine.vmlinux import BzImage


def elf(*, note: bytes = b"Xen\0", kind: int = 18) -> bytes:
    """A 64-bit ELF file with one note."""
    segment = struct.pack("<III", len(note), 4, kind) + note + bytes(4)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0
    )
    table = struct.pack("<IIQQQQQQ", 4, 4, 120, 0, 0, len(segment), len(segment), 4)
    return header + table + segment


def bzimage(payload: bytes, *, version: bytes = b"6.1.0-test", protocol: int = 0x20F) -> bytes:
    """A boot image: two sectors of setup, then the payload."""
    setup = bytearray(1024)
    setup[0x1F1] = 1
    setup[0x1FE:0x206] = b"\x55\xaa\xeb\x6aHdrS"
    struct.pack_into("<H6xH", setup, 0x206, protocol, 0x100)
    struct.pack_into("<II", setup, 0x248, 0, len(payload))
    setup[0x300 : 0x300 + len(version)] = version
    return bytes(setup) + payload


def packed(program: list[str], data: bytes) -> bytes:
    return subprocess.run(program, input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("program", [["lz4", "-lc"], ["xz", "-c"], ["gzip", "-c"], ["zstd", "-qc"], ["cat"]])
def test_the_kernel_comes_out_of_its_image_however_it_was_packed(program: list[str]) -> None:
    kernel = elf()
    size_trailer = struct.pack("<I", len(kernel)) if program[0] != "cat" else b""
    assert vmlinux.extract(bzimage(packed(program, kernel) + size_trailer)) == kernel


def test_the_distributions_kernel_has_a_pvh_entry_and_says_its_version() -> None:
    images = sorted(Path("/boot").glob("vmlinuz-*-cloud-amd64"))
    if not images:
        pytest.skip("needs linux-image-cloud-amd64")
    image = images[0].read_bytes()
    kernel = vmlinux.extract(image)
    assert kernel is not None
    assert kernel.startswith(b"\x7fELF")
    assert vmlinux.version_of(image) == images[0].name.removeprefix("vmlinuz-")
    assert vmlinux.version_of(kernel) == vmlinux.version_of(image)


def test_a_kernel_without_a_pvh_entry_stays_in_its_image() -> None:
    assert vmlinux.extract(bzimage(packed(["gzip", "-c"], elf(kind=3)))) is None
    assert vmlinux.extract(bzimage(packed(["gzip", "-c"], elf(note=b"GNU\0")))) is None


def test_what_is_no_bzimage_has_nothing_to_extract() -> None:
    for image in (b"", b"MZ" * 600, elf(), bzimage(b"x", protocol=0x207)):
        assert vmlinux.extract(image) is None


def test_a_truncated_image_is_corrupt() -> None:
    image = bzimage(packed(["xz", "-c"], elf()))
    with pytest.raises(Corrupt, match=r"6\.1\.0-test"):
        vmlinux.extract(image[:-5])
    damaged = bytearray(image)
    damaged[1100] ^= 0xFF
    with pytest.raises(Corrupt, match=r"6\.1\.0-test"):
        vmlinux.extract(bytes(damaged))


def test_the_header_survives_every_truncation() -> None:
    image = bzimage(elf())
    for length in range(0, len(image), 7):
        BzImage.parse(image[:length])
        vmlinux.has_pvh_entry(elf()[:length])


def test_an_elf_kernel_tells_its_version_by_its_banner() -> None:
    assert vmlinux.version_of(b"\x7fELF...Linux version 6.9.1-mine (me@host)") == "6.9.1-mine"
    assert vmlinux.version_of(b"nothing") == ""
