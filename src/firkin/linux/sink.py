"""A bounded place for what a program writes to its standard error: kept without a reader, read when it ended
badly.
"""

from __future__ import annotations

import fcntl
import os

MAX_BYTES = 64 << 10
_F_ADD_SEALS, _F_SEAL_SHRINK, _F_SEAL_GROW = 1033, 2, 4


class Sink:
    """A memory file of fixed size (memfd_create(2)): what does not fit is refused to the writer."""

    def __init__(self, name: str) -> None:
        self.fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, MAX_BYTES)
        fcntl.fcntl(self.fd, _F_ADD_SEALS, _F_SEAL_SHRINK | _F_SEAL_GROW)

    def text(self) -> str:
        """What was written so far."""
        return (
            ""
            if self.fd < 0
            else os.pread(self.fd, MAX_BYTES, 0).rstrip(b"\0").decode("utf-8", "replace").strip()
        )

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
