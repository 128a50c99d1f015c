"""Kills at a line: what a crash in the middle of a piece of work leaves, tried line by line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def survives(line: int, work: Callable[[], object]) -> bool:
    """Whether `work`, in a child process, ends before the `line`th line of firkin's that it comes to.

    There it is killed. So a test that counts up until this is true has seen what a crash leaves at every
    moment.
    """
    pid = os.fork()
    if pid == 0:
        seen = 0

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal seen
            if "/firkin/" not in frame.f_code.co_filename:
                return None
            if event == "line":
                seen += 1
                if seen == line:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        status = 1
        try:
            sys.settrace(trace)
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert status in (0, signal.SIGKILL), "the work itself failed"
    return status == 0
