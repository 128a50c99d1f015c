"""QEMU on a memory file that it must not change, behind all its walls, with a guest that writes."""

from __future__ import annotations

import os
import shutil
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from firkin.aio.child import Child
from firkin.linux import fork, landlock, seccomp
from firkin.linux.credentials import can_become, unprivileged
from firkin.linux.landlock import EXECUTE, READ, READ_FILE, READ_WRITE, Rule
from firkin.linux.sink import Sink
from firkin.machine.qemu.devices import Sandbox
from firkin.settings import Settings

pytestmark = pytest.mark.machine

MIB = 1 << 20
IN_FILE, BY_GUEST, BY_QEMU = (0x1000, 0x05), (0x2000, 0x21), (0x3000, 0x11)
"""A byte of the memory file, one that the guest writes over, one that QEMU does: address and value."""
SUM = IN_FILE[1] + BY_GUEST[1] + BY_QEMU[1]


def firmware() -> bytes:
    """Real-mode code at the reset vector: writes its byte, adds up all three, and ends QEMU with the sum."""
    code = struct.pack(
        "<2sHB sH 2sH 2sH sH s s",
        *(b"\xc6\x06", *BY_GUEST),  # mov byte [..], ..
        *(b"\xa0", BY_GUEST[0]),  # mov al, [..]
        *(b"\x02\x06", BY_QEMU[0]),  # add al, [..]
        *(b"\x02\x06", IN_FILE[0]),
        *(b"\xba", 0x501),  # mov dx, isa-debug-exit
        b"\xee",  # out dx, al
        b"\xf4",  # hlt
    )
    image = bytearray(b"\xf4" * 0x10000)
    image[0xFFD0 : 0xFFD0 + len(code)] = code
    image[0xFFF0:0xFFF2] = b"\xeb\xde"  # jmp 0xffd0
    return bytes(image)


@dataclass(frozen=True)
class Vmm:
    """QEMU, and our end of its QMP socket."""

    child: Child
    monitor: socket.socket
    complaints: Sink

    def greet(self) -> None:
        assert b"QMP" in self.monitor.recv(4096), self.complaints.text()

    def run(self) -> None:
        self.monitor.sendall(b'{"execute": "qmp_capabilities"}{"execute": "cont"}')

    def status(self) -> int | None:
        while self.monitor.recv(4096):
            continue
        os.waitid(os.P_PID, self.child.pid, os.WEXITED | os.WNOWAIT)
        return self.child.poll()


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """16 MiB that only we may open, and no name of which is known to QEMU."""
    path = tmp_path / "memory"
    contents = bytearray(b"\xaa" * 16 * MIB)
    contents[IN_FILE[0]] = IN_FILE[1]
    path.write_bytes(contents)
    path.chmod(0o600)
    return path


@pytest.fixture
def qemu(settings: Settings) -> str:
    path = shutil.which(settings.qemu)
    assert path is not None
    return path


@contextmanager
def stopped_vmm(
    memory: Path, qemu: str, *, filter: bytes | None, mode: int = os.O_RDONLY, share: str = "off"
) -> Iterator[Vmm]:
    """QEMU with a machine that has not run yet, as firkin confines it. `memory` is its standard input."""
    firmware_path = memory.with_name("firmware")
    firmware_path.write_bytes(firmware())
    firmware_path.chmod(0o644)
    with ExitStack() as stack:

        def opened(path: Path | str, flags: int) -> int:
            fd = os.open(path, flags)
            stack.callback(os.close, fd)
            return fd

        complaints = Sink("qemu")
        stack.callback(complaints.close)
        monitor, its_end = (stack.enter_context(end) for end in socket.socketpair())
        firmware_fd, null_fd = opened(firmware_path, os.O_RDONLY), opened("/dev/null", os.O_RDWR)
        address, value = BY_QEMU
        argv = [
            *(qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-S"),
            *("-machine", "microvm,memory-backend=ram", "-accel", "tcg", "-m", "16M"),
            *("-object", f"memory-backend-file,id=ram,size=16M,mem-path={seccomp.STDIN_PATH},share={share}"),
            *Sandbox().args(),
            *("-bios", f"/proc/self/fd/{firmware_fd}", "-device", "isa-debug-exit,iobase=0x501,iosize=2"),
            *("-device", f"loader,addr={address:#x},data={value:#x},data-len=1"),
            *("-chardev", f"socket,id=qmp,fd={its_end.fileno()}", "-mon", "chardev=qmp,mode=control"),
        ]
        pid, pidfd = fork.start(
            fork.Launch(
                argv,
                {"PATH": "/usr/bin:/bin"},
                opened(memory, mode),
                null_fd,
                complaints.fd,
                fds=(firmware_fd, its_end.fileno()),
                credentials=unprivileged(7) if os.geteuid() == 0 and can_become(unprivileged(7)) else None,
                landlock_fd=walls(stack, qemu, firmware_fd),
                seccomp_filter=filter,
            )
        )
        child = Child(pid, pidfd)
        stack.callback(child.abort)
        its_end.close()
        yield Vmm(child, monitor, complaints)


def walls(stack: ExitStack, qemu: str, firmware_fd: int) -> int | None:
    """A Landlock ruleset in which the memory file does not occur."""
    if landlock.abi() == 0:
        return None
    system = ("/usr", "/lib", "/lib32", "/lib64", os.path.dirname(os.path.dirname(os.path.realpath(qemu))))
    rules = [Rule(path, READ | EXECUTE) for path in system]
    rules += [Rule(path, READ_FILE) for path in ("/etc/ld.so.cache", f"/proc/self/fd/{firmware_fd}")]
    fd = landlock.create_ruleset(landlock.abi(), [*rules, Rule("/dev/null", READ_WRITE)])
    stack.callback(os.close, fd)
    return fd


def descriptors_of(pid: int, file: Path) -> dict[int, int]:
    """The open files of a process that are `file`: their access modes by their numbers."""
    wanted = os.stat(file)
    modes = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if os.path.samestat(entry.stat(), wanted):
            info = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text()
            flags = next(line.split()[1] for line in info.splitlines() if line.startswith("flags:"))
            modes[int(entry.name)] = int(flags, 8) & os.O_ACCMODE
    return modes


def mappings_of(pid: int, file: Path) -> set[str]:
    """How a process has mapped `file`: rw-p is private and writable."""
    inode = str(file.stat().st_ino)
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {fields[1] for fields in map(str.split, lines) if fields[4] == inode}


def test_qemu_starts_on_memory_that_it_can_only_read(memory: Path, qemu: str) -> None:
    before = memory.read_bytes()
    with stopped_vmm(memory, qemu, filter=seccomp.reading_only()) as vmm:
        vmm.greet()
        assert descriptors_of(vmm.child.pid, memory) == {0: os.O_RDONLY}
        assert mappings_of(vmm.child.pid, memory) == {"rw-p"}
        assert "Seccomp_filters:\t2" in Path(f"/proc/{vmm.child.pid}/status").read_text()  # ours and its own
        vmm.run()
        assert vmm.status() == SUM << 1 | 1, vmm.complaints.text()  # as isa-debug-exit does
    assert memory.read_bytes() == before


def test_memory_that_the_guest_shall_write_to_goes_the_same_way(memory: Path, qemu: str) -> None:
    with stopped_vmm(memory, qemu, filter=seccomp.reading_only(), mode=os.O_RDWR, share="on") as vmm:
        vmm.greet()
        assert descriptors_of(vmm.child.pid, memory) == {0: os.O_RDWR}
        assert mappings_of(vmm.child.pid, memory) == {"rw-s"}
        vmm.run()
        assert vmm.status() == SUM << 1 | 1, vmm.complaints.text()
    contents = memory.read_bytes()
    for address, value in (IN_FILE, BY_GUEST, BY_QEMU):
        assert contents[address] == value


def test_without_the_filter_qemu_fails_and_makes_no_file(memory: Path, qemu: str) -> None:
    before, files = memory.read_bytes(), set(os.listdir(memory.parent)) | {"firmware"}
    with stopped_vmm(memory, qemu, filter=None) as vmm:
        assert vmm.status() == 1
        assert "can't open backing store /dev/stdin/. for guest RAM" in vmm.complaints.text()
    assert memory.read_bytes() == before
    assert set(os.listdir(memory.parent)) == files
