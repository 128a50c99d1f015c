"""The floor of every stream: the raw virtio-serial port of a bare machine, with blocking reads and writes.

The rule: QEMU, CPU, kernel and device are firkin's; there are no frames, no agent, no pipes, no event loop.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.floor.bare import Parts
from firkin.settings import Settings

_PATIENCE_S = 60.0
_PIECE_BYTES = 1 << 16
_GIVE = 1 << 63
_MODULES = ("virtio_mmio", "virtio_console")


@dataclass(frozen=True, slots=True)
class RawPort:
    """The host's end of the port."""

    end: socket.socket

    def send(self, data: bytes) -> None:
        """Let the guest take `data`; it has when this returns."""
        self.end.sendall(len(data).to_bytes(8, "little"))
        view = memoryview(data)
        for at in range(0, len(view), _PIECE_BYTES):
            self.end.sendall(view[at : at + _PIECE_BYTES])
        self._expect(1)

    def receive(self, size_bytes: int) -> None:
        """Let the guest give so many bytes."""
        self.end.sendall((size_bytes | _GIVE).to_bytes(8, "little"))
        self._expect(size_bytes)

    def _expect(self, size_bytes: int) -> None:
        while size_bytes:
            got = len(self.end.recv(min(size_bytes, _PIECE_BYTES)))
            if not got:
                raise RuntimeError("the bare machine has ended")
            size_bytes -= got


@contextmanager
def raw_port(settings: Settings) -> Iterator[RawPort]:
    """The port of a bare machine that was booted. Needs gcc. Raises what a boot raises, TimeoutError,
    CalledProcessError when gcc fails.
    """
    parts = Parts.of(settings)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="fkport")))
        ours, theirs = map(stack.enter_context, socket.socketpair())
        argv = (
            *(*parts.board(), *parts.boot(directory, "port.c", _MODULES), "-serial", "none"),
            *("-global", "virtio-mmio.force-legacy=false", "-device", "virtio-serial-device"),
            *("-chardev", f"socket,id=port,fd={theirs.fileno()}"),
            *("-device", "virtserialport,chardev=port,name=raw,nr=1"),
        )
        vmm = subprocess.Popen(argv, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),))
        stack.callback(vmm.wait)
        stack.callback(vmm.kill)
        theirs.close()  # so that we hear of its end
        ours.settimeout(_PATIENCE_S)
        port = RawPort(ours)
        port._expect(1)
        yield port
