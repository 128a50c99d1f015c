"""What a program under the filter can still do to files: the kernel says, and for aarch64 its arithmetic."""

from __future__ import annotations

import errno
import os
import platform
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from firkin.errors import HostUnsupported
from firkin.linux import fork, seccomp
from firkin.linux.sink import Sink

PYTHON = "/usr/bin/python3"
PREAMBLE = """
import ctypes, mmap, os
from os import O_CREAT, O_RDONLY, O_RDWR, O_TMPFILE, O_TRUNC, O_WRONLY
libc = ctypes.CDLL(None, use_errno=True)
def call(function, *args):
    result = function(*args)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result
def run(code):
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(code)
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
X86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="a system call of x86-64")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "memory"
    path.write_bytes(b"memory" * 1000)
    return path


@pytest.fixture
def output() -> Iterator[Sink]:
    sink = Sink("output")
    yield sink
    sink.close()


def python(statement: str, file: Path, output: Sink, filter: bytes | None) -> int:
    """The exit status of a Python whose standard input is `file`, opened for reading: an errno, or 0."""
    script = f"{PREAMBLE}\nF, D = {str(file)!r}, {str(file.parent)!r}\n"
    script += f"try:\n    {statement}\nexcept OSError as error:\n    os._exit(error.errno)\n"
    stdin_fd = os.open(file, os.O_RDONLY)
    try:
        argv = [PYTHON, "-IBSc", script]
        launch = fork.Launch(argv, {}, stdin_fd, output.fd, output.fd, seccomp_filter=filter)
        pid, pidfd = fork.start(launch)
    finally:
        os.close(stdin_fd)
    os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    "statement",
    [
        "fd = call(libc.open, b'/dev/stdin/.', O_RDWR)",
        "fd = call(libc.open, os.fsencode(F), O_RDWR)",
        "fd = call(libc.openat, -100, b'/nowhere', O_RDWR | 0o100000)",
        pytest.param("fd = call(libc.syscall, 2, b'/nowhere', O_RDWR)", marks=X86_64),
    ],
)
def test_a_program_that_opens_for_reading_and_writing_gets_its_standard_input(
    statement: str, file: Path, output: Sink
) -> None:
    if platform.machine() == "aarch64":
        statement = statement.replace("0o100000", "0o400000")
    assert python(f"{statement}; print(fd, os.pread(fd, 6, 0))", file, output, seccomp.reading_only()) == 0
    assert output.text() == "0 b'memory'"


@pytest.mark.parametrize(
    "statement",
    ["os.close(0)", "os.dup2(1, 0)", "os.dup2(1, 0, inheritable=False)", "call(libc.close_range, 0, 0, 0)"],
)
def test_the_standard_input_stays_what_it_is(statement: str, file: Path, output: Sink) -> None:
    tried = f"exec('try:\\n {statement}\\nexcept OSError: pass'); print(os.pread(0, 6, 0))"
    assert python(tried, file, output, seccomp.reading_only()) == 0
    assert output.text() == "b'memory'"
    assert python(tried, file, output, None) != 0 or output.text().count("memory") == 1


def test_what_stands_for_the_standard_input_cannot_be_opened_without_the_filter(
    file: Path, output: Sink
) -> None:
    path = os.fsencode(seccomp.STDIN_PATH)
    assert python(f"call(libc.open, {path!r}, O_RDWR)", file, output, None) == errno.ENOTDIR
    assert python(f"os.open({path!r}, O_RDONLY)", file, output, seccomp.reading_only()) == errno.ENOTDIR


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("os.open(F, O_WRONLY)", errno.EACCES),
        ("os.open(F, O_RDWR)", errno.EACCES),  # Python adds O_CLOEXEC
        ("os.open('/proc/self/fd/0', O_RDWR)", errno.EACCES),
        ("os.open('/proc/self/mem', O_RDWR)", errno.EACCES),
        ("os.open(F, O_RDONLY | O_TRUNC)", errno.EACCES),
        ("os.open(F + '.new', O_RDONLY | O_CREAT)", errno.EACCES),
        ("os.open(D, O_RDWR | O_TMPFILE)", errno.EACCES),
        ("call(libc.creat, os.fsencode(F), 0)", errno.EACCES),
        ("os.truncate(F, 0)", errno.EACCES),
        ("call(libc.syscall, 437, -100, os.fsencode(F), b'\\2' + bytes(23), 24)", errno.ENOSYS),  # openat2
        pytest.param("call(libc.syscall, 85, os.fsencode(F), 0)", errno.EACCES, marks=X86_64),  # creat
        pytest.param("call(libc.syscall, 2, os.fsencode(F), O_WRONLY)", errno.EACCES, marks=X86_64),  # open
    ],
)
def test_what_writes_to_a_file_elsewhere_is_refused_under_the_filter(
    statement: str, refusal: int, file: Path, output: Sink
) -> None:
    before = file.read_bytes()
    assert python(statement, file, output, seccomp.reading_only()) == refusal
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]
    assert python(statement, file, output, None) == 0


@pytest.mark.parametrize("call", ["425, 1, bytes(120)", "{open_by_handle_at}, -100, bytes(136), 2"])
def test_what_could_open_out_of_the_filters_sight_is_absent(call: str, file: Path, output: Sink) -> None:
    number = 304 if platform.machine() == "x86_64" else 265
    statement = f"call(libc.syscall, {call.format(open_by_handle_at=number)})"
    assert python(statement, file, output, seccomp.reading_only()) == errno.ENOSYS


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("os.write(0, b'x')", errno.EBADF),
        ("os.ftruncate(0, 0)", errno.EINVAL),
        ("os.posix_fallocate(0, 0, 1 << 20)", errno.EBADF),
        ("mmap.mmap(0, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)", errno.EACCES),
    ],
)
def test_the_standard_input_that_it_gets_stays_for_reading(
    statement: str, refusal: int, file: Path, output: Sink
) -> None:
    before = file.read_bytes()
    assert python(statement, file, output, seccomp.reading_only()) == refusal
    assert file.read_bytes() == before


def test_a_private_mapping_of_the_standard_input_takes_writes_that_the_file_never_sees(
    file: Path, output: Sink
) -> None:
    before = file.read_bytes()
    script = (
        "m = mmap.mmap(call(libc.open, b'any', O_RDWR), 4096, mmap.MAP_PRIVATE, 3); m[0] = 7; print(m[0:2])"
    )
    assert python(script, file, output, seccomp.reading_only()) == 0
    assert output.text() == str(b"\x07e")
    assert file.read_bytes() == before


def test_a_filter_for_devices_leaves_them_open_and_keeps_all_else(file: Path, output: Sink) -> None:
    filter = seccomp.reading_only(devices=True)
    assert python("os.open('/dev/null', O_RDWR)", file, output, filter) == 0
    assert python("os._exit(call(libc.open, b'/nowhere', O_RDWR))", file, output, filter) == 0
    for refused in ("O_WRONLY", "O_RDWR | O_TRUNC", "O_RDWR | O_CREAT", "O_WRONLY | O_APPEND"):
        statement = f"os.open(F, {refused.replace('O_APPEND', 'os.O_APPEND')})"
        assert python(statement, file, output, filter) == errno.EACCES


def test_what_the_program_starts_is_under_the_filter_too(file: Path, output: Sink) -> None:
    statement = "os.execv('/bin/sh', ['sh', '-c', f'/bin/sh -c \": >{F}\"'])"
    before = file.read_bytes()
    assert python(statement, file, output, seccomp.reading_only()) != 0
    assert file.read_bytes() == before
    assert python(statement, file, output, None) == 0
    assert file.read_bytes() == b""


@X86_64
def test_a_call_by_the_numbers_of_another_architecture_kills(file: Path, output: Sink) -> None:
    getpid_32 = "run(bytes.fromhex('b814000000cd80c3'))"  # mov eax, 20; int 0x80; ret
    getpid_x32 = "libc.syscall(0x40000000 + 39)"
    assert python(getpid_x32, file, output, None) == 0
    assert python(getpid_x32, file, output, seccomp.reading_only()) == -signal.SIGSYS
    if python(getpid_32, file, output, None) != 0:
        pytest.skip("this kernel runs no 32-bit programs")
    assert python(getpid_32, file, output, seccomp.reading_only()) == -signal.SIGSYS


AARCH64, ALLOW, KILL, FAIL = 0xC00000B7, 0x7FFF0000, 0x80000000, 0x00050000


@pytest.mark.parametrize(
    ("arch", "number", "arguments", "verdict"),
    [
        (AARCH64, 56, (-100, 1, os.O_RDWR), FAIL),
        (AARCH64, 56, (-100, 1, os.O_RDWR | 0o400000), FAIL),  # its O_LARGEFILE
        (AARCH64, 56, (-100, 1, os.O_RDWR | os.O_CLOEXEC), FAIL | errno.EACCES),
        (AARCH64, 56, (-100, 1, os.O_WRONLY), FAIL | errno.EACCES),
        (AARCH64, 56, (-100, 1, os.O_RDONLY | os.O_TRUNC), FAIL | errno.EACCES),
        (AARCH64, 56, (-100, 1, os.O_RDONLY | os.O_CLOEXEC), ALLOW),
        (AARCH64, 45, (1, 0), FAIL | errno.EACCES),  # truncate
        (AARCH64, 265, (3, 1, 2), FAIL | errno.ENOSYS),  # open_by_handle_at
        (AARCH64, 437, (-100, 1, 1, 24), FAIL | errno.ENOSYS),  # openat2
        (AARCH64, 425, (1, 1), FAIL | errno.ENOSYS),  # io_uring_setup
        (AARCH64, 2, (1, 1), ALLOW),  # io_cancel: not x86-64's open
        (AARCH64, 257, (1, 2, 2), ALLOW),  # nor its openat
        (0xC000003E, 257, (-100, 1, os.O_RDONLY), KILL),
        (0x40000028, 5, (1, 0), KILL),  # 32-bit arm
    ],
)
def test_on_aarch64_the_filter_goes_by_that_machines_numbers(
    arch: int, number: int, arguments: tuple[int, ...], verdict: int
) -> None:
    assert run_bpf(seccomp.reading_only(machine="aarch64"), arch, number, arguments) == verdict


@X86_64
def test_this_arithmetic_is_the_kernels() -> None:
    filter = seccomp.reading_only()
    assert run_bpf(filter, 0xC000003E, 257, (-100, 1, os.O_RDWR)) == FAIL
    assert run_bpf(filter, 0xC000003E, 257, (-100, 1, os.O_RDONLY)) == ALLOW
    assert run_bpf(filter, 0xC000003E, 2, (1, os.O_WRONLY)) == FAIL | errno.EACCES
    assert run_bpf(filter, 0xC000003E, 0x40000000 + 39, ()) == KILL


def test_a_machine_whose_numbers_nobody_wrote_down_gets_no_filter() -> None:
    with pytest.raises(HostUnsupported, match="riscv64"):
        seccomp.reading_only(machine="riscv64")


def run_bpf(program: bytes, arch: int, number: int, arguments: tuple[int, ...]) -> int:
    """The verdict of classic BPF (socket(7), bpf_common.h) on a call: as much of it as a filter here uses."""
    padded = [argument & (2**64 - 1) for argument in (*arguments, *[0] * 6)][:6]
    data = struct.pack("<IIQ6Q", number, arch, 0, *padded)
    instructions = list(struct.iter_unpack("=HBBI", program))
    value = at = 0
    while True:
        code, if_true, if_false, k = instructions[at]
        at += 1
        match code:
            case 0x20:
                (value,) = struct.unpack_from("<I", data, k)
            case 0x54:
                value &= k
            case 0x06:
                return int(k)
            case 0x15 | 0x35 | 0x45:
                taken = {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}[code]
                at += if_true if taken else if_false
