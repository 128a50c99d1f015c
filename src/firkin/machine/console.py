"""What the guest's kernel prints: kept while nobody looks, bounded however much it prints.

    run_dir/console    a FIFO; the VMM writes, and holds it open for reading too, so that up to 64 KiB wait in
    it dir/console.log    what was read from it so far; cut to its tail when it grows

The rule: in the good case nothing is printed (`quiet`), so nothing here costs a boot anything.
"""

from __future__ import annotations

import os
from pathlib import Path

from firkin.machine.boot_log import BootLog

TAIL_BYTES = 16 << 10
MAX_LOG_BYTES = 256 << 10
_READ_BYTES = 64 << 10
_EVERY_BOOT = "PCI: Fatal: No config space access function found"
"""What Linux says on every machine without PCI: it would mislead whoever looks for a reason."""


class Console:
    """The reading end of one machine's console. Whoever made or adopted the machine owns and closes it."""

    def __init__(self, fifo_path: Path, log_path: Path, boot_log: str = "") -> None:
        """Open the FIFO, making it where it is missing, and the further log that was asked for. Raises
        OSError.
        """
        self._boot_log = BootLog(boot_log) if boot_log else None
        if not fifo_path.is_fifo():
            fifo_path.unlink(missing_ok=True)
            os.mkfifo(fifo_path, 0o600)
        self._path = fifo_path
        self._log_path = log_path
        self.fd = os.open(fifo_path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def vmm_fds(self) -> tuple[int, int]:
        """For the VMM to inherit: a writing end, and a reading end that keeps the pipe from ever breaking.

        The caller closes both. Raises OSError.
        """
        write_fd = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return write_fd, os.dup(self.fd)

    def drain(self) -> bool:
        """Move what waits in the pipe to the log: False when no VMM holds the other end any more.

        A log that cannot be written loses the console, nothing else.
        """
        for _ in range(MAX_LOG_BYTES // _READ_BYTES):
            try:
                data = os.read(self.fd, _READ_BYTES)
            except OSError:
                return True
            if not data:
                return False
            self._append(data)
        return True

    def tail(self) -> str:
        """The last lines that the guest printed, at most 16 KiB, with control characters made harmless."""
        self.drain()
        try:
            data = self._log_path.read_bytes()[-TAIL_BYTES:]
        except OSError:
            return ""
        lines = data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
        text = "\n".join(line for line in lines if not line.endswith(_EVERY_BOOT))
        return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text).strip()

    def close(self) -> None:
        if self.fd >= 0:
            self.drain()
            os.close(self.fd)
            self.fd = -1
        if self._boot_log is not None:
            self._boot_log.close()

    def _append(self, data: bytes) -> None:
        if self._boot_log is not None:
            self._boot_log.write(data)
        try:
            with self._log_path.open("ab") as log:
                log.write(data)
                if log.tell() > MAX_LOG_BYTES:
                    kept = self._log_path.read_bytes()[-TAIL_BYTES:]
                    log.truncate(0)
                    log.write(kept)
        except OSError:
            return
