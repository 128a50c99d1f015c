"""A disk's file, opened to be read: a regular file and nothing that only looks like one.

The VMM could write where it lies, so a link or a fifo in its place is refused, and never waited for.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType

from firkin.errors import Corrupt, HostUnsupported


class DiskFile:
    """An open file of `size_bytes`, as they were when it was opened. The caller closes it."""

    def __init__(self, path: Path) -> None:
        """Raises Corrupt where `path` is no regular file or is missing, HostUnsupported where it cannot be
        read.
        """
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise Corrupt(
                f"disk {path} is missing", hint="restore it, or remove what stands on it"
            ) from error
        except OSError as error:
            raise HostUnsupported(
                f"cannot read disk {path}: {error.strerror}", hint="check its owner and mode"
            ) from error
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise Corrupt(f"disk {path} is not a regular file", hint="remove what stands on it")
        self.size_bytes = status.st_size

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> DiskFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; what lies behind the end of the file is zeros, as for QEMU.

        Raises HostUnsupported.
        """
        try:
            data = os.pread(self._fd, size, offset)
        except OSError as error:
            raise HostUnsupported(
                f"cannot read disk {self.path}: {error.strerror}", hint="check the host's disk"
            ) from error
        return data if len(data) == size else data.ljust(size, b"\0")
