"""Files in data/cache that are made from other files: the extracted kernel, the initramfs, small verdicts.

The rule: an artifact is named by what it was made from, so it is never stale and never changed; a file of
that name is whole, since it came by rename. Deleting any of them costs only the time to make it again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

_UNUSED_DAYS = 30
_DAY_S = 86_400


def stamp(path: Path) -> str:
    """What tells one state of a file from another without reading it: path, device, inode, size, time of
    change.

    Raises OSError.
    """
    status = path.stat()
    return f"{path}:{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def artifact(cache_dir: Path, kind: str, inputs: tuple[str, ...], make: Callable[[], bytes]) -> Path:
    """The file of `kind` made from `inputs`; `make` is called where it is not there yet. Raises OSError."""
    return lookup(cache_dir, kind, inputs) or keep(cache_dir, kind, inputs, make())


def lookup(cache_dir: Path, kind: str, inputs: tuple[str, ...]) -> Path | None:
    """The file of `kind` made from `inputs`, if it is there. Raises OSError."""
    path = _path(cache_dir, kind, inputs)
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if time.time() - status.st_mtime > _DAY_S:
        os.utime(path)
    return path


def keep(cache_dir: Path, kind: str, inputs: tuple[str, ...], data: bytes) -> Path:
    """Write the file of `kind` made from `inputs`. Raises OSError.

    A crash leaves at most a temporary file, which goes with the kind's cleaning after a month.
    """
    path = _path(cache_dir, kind, inputs)
    _make(path, data)
    _clean(cache_dir, kind)
    return path


def _path(cache_dir: Path, kind: str, inputs: tuple[str, ...]) -> Path:
    key = hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:32]
    return cache_dir / f"{kind}-{key}"


def _make(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{time.monotonic_ns()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o444)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def _clean(cache_dir: Path, kind: str) -> None:
    """Remove what nobody used for a month; users refresh the time, at most once a day."""
    oldest = time.time() - _UNUSED_DAYS * _DAY_S
    for path in cache_dir.glob(f"{kind}-*"):
        try:
            if path.stat().st_mtime < oldest:
                path.unlink()
        except FileNotFoundError:
            continue
