"""The floor of every restore: a bare machine that echoes bytes on its serial port, saved once, started often.

    restored   memory from a file that is mapped privately, state by x-ignore-shared: what firkin does too
    loaded     the same machine by savevm and -loadvm, memory and all in a qcow2: QEMU's own way

The rule: QEMU, CPU, memory and stub are firkin's; there are no walls, no disk, no network and no agent, so
the ratio shows what firkin adds. The time runs from before the spawn to the echoed byte.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.floor.bare import Parts
from benchmarks.measure import Measures
from benchmarks.memory import private_bytes
from benchmarks.monitor import Monitor
from firkin.machine.qemu.incoming import IGNORE_SHARED
from firkin.machine.stub import stub_path
from firkin.settings import Settings

_PATIENCE_S = 60.0
_READY, _BYTE = b"ready", b"x"
_TAG = "bench"


@dataclass(frozen=True, slots=True)
class Echo:
    """The saved machine: `restored()` and `loaded()` each start it once, to the echoed byte, and end it."""

    restored_argv: tuple[str, ...]
    state_path: Path
    loaded_argv: tuple[str, ...]

    def restored(self, n: int = 1) -> Measures:
        """`n` of them at once, until all have answered; and the private memory of each then."""
        begin = time.perf_counter()
        with ExitStack() as stack:
            machines = [self._restoring(stack) for _ in range(n)]
            for machine in machines:
                machine.runs()
                machine.serial.sendall(_BYTE)
            for machine in machines:
                machine.echoes()
            whole = time.perf_counter() - begin
            return {"whole": whole, "private": sum(private_bytes(each.pid) for each in machines) / n}

    def loaded(self) -> Measures:
        begin = time.perf_counter()
        with _running(self.loaded_argv) as machine:
            machine.serial.sendall(_BYTE)
            machine.echoes()
            return {"whole": time.perf_counter() - begin}

    def _restoring(self, stack: ExitStack) -> _Running:
        with self.state_path.open("rb") as state:
            machine = stack.enter_context(_running(self.restored_argv, [state.fileno()]))
            uri = f"fd:{state.fileno()}"
        for command, arguments in (
            ("qmp_capabilities", {}),
            ("migrate-set-capabilities", {"capabilities": [IGNORE_SHARED]}),
            ("migrate-incoming", {"uri": uri}),
            ("cont", {}),
        ):
            machine.qmp.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        return machine


@contextmanager
def echoing(settings: Settings) -> Iterator[Echo]:
    """The bare machine with the settings' QEMU, kernel, accelerator and memory, saved in both ways.

    Needs gcc. Raises what a boot raises, CalledProcessError when gcc fails, RuntimeError when QEMU does not
    save it.
    """
    parts = Parts.of(settings)
    stub = ("-kernel", str(stub_path(settings.paths.cache_dir)))
    with TemporaryDirectory(prefix="fkecho") as name:
        directory = Path(name)
        memory_path, state_path, disk_path = (directory / each for each in ("memory", "state", "disk"))
        boot = parts.boot(directory, "echo.c")
        with memory_path.open("xb") as memory:
            memory.truncate(settings.memory_bytes)
        _save((*parts.board(memory_path=memory_path, shared=True), *boot), state_path)
        disk = _empty_disk(disk_path)
        _savevm((*parts.board(), *boot, *disk))
        yield Echo(
            (*parts.board(memory_path=memory_path), *stub, "-incoming", "defer"),
            state_path,
            (*parts.board(), *stub, *disk, "-loadvm", _TAG),
        )


@dataclass(frozen=True, slots=True)
class _Running:
    pid: int
    serial: socket.socket
    qmp: socket.socket

    def runs(self) -> None:
        """Wait until it runs: the state that is loaded forgets a byte that came before."""
        said = b""
        while b'"RESUME"' not in said:
            if not (data := self.qmp.recv(4096)):
                raise RuntimeError(f"the bare machine has ended; its monitor said {said.decode()}")
            said += data

    def echoes(self) -> None:
        """Wait for the byte that was sent."""
        if self.serial.recv(1) != _BYTE:
            raise RuntimeError("the bare machine has ended, or does not echo")


@contextmanager
def _running(argv: Sequence[str], fds: Sequence[int] = ()) -> Iterator[_Running]:
    """The machine, spawned; its serial port and its monitor are ours. It is gone when the block ends."""
    with ExitStack() as stack:
        serial, their_serial = map(stack.enter_context, socket.socketpair())
        qmp, their_qmp = map(stack.enter_context, socket.socketpair())
        wiring = (
            *("-chardev", f"socket,id=serial,fd={their_serial.fileno()}", "-serial", "chardev:serial"),
            *("-chardev", f"socket,id=qmp,fd={their_qmp.fileno()}", "-mon", "chardev=qmp,mode=control"),
        )
        theirs = (their_serial.fileno(), their_qmp.fileno(), *fds)
        vmm = subprocess.Popen([*argv, *wiring], stdin=subprocess.DEVNULL, pass_fds=theirs)
        stack.callback(vmm.wait)
        stack.callback(vmm.kill)
        for end in (their_serial, their_qmp):
            end.close()  # so that we hear of its end
        for end in (serial, qmp):
            end.settimeout(_PATIENCE_S)
        yield _Running(vmm.pid, serial, qmp)


@contextmanager
def _listening(argv: Sequence[str]) -> Iterator[Monitor]:
    """The machine, booted as far as it can be, and its monitor."""
    with _running(argv) as machine, Monitor(machine.qmp) as monitor:
        said = b""
        while not said.endswith(_READY):
            if not (data := machine.serial.recv(4096)):
                raise RuntimeError(f"the bare machine has ended; it said {said.decode(errors='replace')!r}")
            said += data
        machine.serial.sendall(_BYTE)
        machine.echoes()
        yield monitor


def _save(argv: Sequence[str], state_path: Path) -> None:
    with _listening(argv) as monitor:
        monitor.execute("migrate-set-capabilities", capabilities=[IGNORE_SHARED])
        monitor.execute("migrate", uri=f"exec:cat >{state_path}")
        monitor.migrated()


def _savevm(argv: Sequence[str]) -> None:
    with _listening(argv) as monitor:
        monitor.human(f"savevm {_TAG}")


def _empty_disk(path: Path) -> tuple[str, ...]:
    """A qcow2 that keeps what savevm writes, as QEMU's arguments. The guest does not see it."""
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"], check=True, stdout=subprocess.DEVNULL
    )
    return ("-drive", f"if=none,id=kept,format=qcow2,file={path}")
