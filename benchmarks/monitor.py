"""QMP by hand, one command at a time: what benchmarks ask of a QEMU needs no event loop and no library."""

from __future__ import annotations

import json
import socket
import time
from types import TracebackType
from typing import Any

_POLL_S = 0.001


class Monitor:
    """A QMP session on a connected socket, which is its own from now on: a context manager that closes it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lines = sock.makefile("rb")
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: object) -> Any:
        """What QEMU answers. Raises RuntimeError with its words where it refuses, or has ended."""
        self._sock.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        for line in self._lines:
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise RuntimeError(f"QEMU refused {command}: {answer['error']['desc']}")
        raise RuntimeError(f"QEMU ended during {command}")

    def human(self, line: str) -> None:
        """A command of the human monitor. Raises RuntimeError with what it says, which is nothing when all
        is well.
        """
        if said := self.execute("human-monitor-command", **{"command-line": line}).strip():
            raise RuntimeError(f"QEMU refused {line}: {said}")

    def migrated(self) -> None:
        """Wait until the migration that was begun is over. Raises RuntimeError where it failed."""
        while (status := self.execute("query-migrate").get("status")) != "completed":
            if status in ("failed", "cancelled"):
                raise RuntimeError(f"QEMU's migration has {status}")
            time.sleep(_POLL_S)

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self._sock.close()
