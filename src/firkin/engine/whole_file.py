"""WholeFile: a file that somebody asked for appears when all of it is written, or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from firkin.store.files import disk_errors


@contextmanager
def whole_file(target: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    """A file to write to, which replaces `target` when the block is through; or that stream.

    Until then it has no name, so that not even a crash leaves half of it; where the file system has no such
    files (open(2), O_TMPFILE), it has one that begins with a dot.
    """
    if not isinstance(target, str | Path):
        yield target
        return
    path = Path(target)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}"
    with disk_errors(path):
        try:
            with _nameless(path.parent) or open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                if not temporary.exists():
                    _give_name(file.fileno(), temporary)
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)


def _nameless(directory: Path) -> BinaryIO | None:
    """A new file in `directory` without a name; None where that cannot be."""
    try:
        fd = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except OSError:
        return None
    return os.fdopen(fd, "wb")


def _give_name(fd: int, path: Path) -> None:
    """Link the nameless open file `fd` at `path` (linkat(2)). os.link follows links only with a directory."""
    os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)
