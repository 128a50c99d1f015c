"""inotify(7): wait until something in a directory changed."""

from __future__ import annotations

import asyncio
import ctypes
import os
from pathlib import Path

_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE_SELF, _IN_MOVE_SELF = 0x2, 0x80, 0x100, 0x400, 0x800
_MASK = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE_SELF | _IN_MOVE_SELF
_IN_CLOEXEC, _IN_NONBLOCK = os.O_CLOEXEC, os.O_NONBLOCK
_BUFFER_BYTES = 1 << 16


class Watch:
    """Watches the directory `path` for files that appear or change, from now on until close().

    Raises OSError: ENOENT, or ENOSPC and EMFILE where the user's inotify limits are reached.
    """

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = _checked(libc.inotify_init1(_IN_CLOEXEC | _IN_NONBLOCK))
        try:
            _checked(libc.inotify_add_watch(self._fd, os.fsencode(path), _MASK))
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def changed(self, timeout_s: float) -> None:
        """Return once something changed since the last call, at the latest after `timeout_s`."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._fd, ready.set)
        try:
            await asyncio.wait_for(ready.wait(), timeout_s)
            os.read(self._fd, _BUFFER_BYTES)
        except (TimeoutError, BlockingIOError):
            pass
        finally:
            loop.remove_reader(self._fd)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
