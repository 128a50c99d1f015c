"""Upper: what a container in namespaces writes to, in its directory.

    upper/        overlay: the files that it changed; copy: all of them
    work/         overlay: the kernel's own
    upper.new/    copy: being made; garbage, which the next start removes

The rule: it belongs to the ids that the container has. Where its root is whoever runs it, the launcher makes
an overlay's on its way; else they are made in the storage namespace.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from firkin.errors import FirkinError, StorageFull
from firkin.events import stage
from firkin.linux import storage_namespace
from firkin.linux.id_map import IdMap

_COPY = """set -e
rm -rf -- "$2.new"
cp -a --reflink=auto -- "$1" "$2.new"
sync -f "$2.new"
mv -T -- "$2.new" "$2"
"""


def make(directory: Path, lower_of: Callable[[], Path], id_map: IdMap, *, copied: bool) -> None:
    """Make what a container in `directory` writes to, over the tree that `lower_of` finds, where that is
    missing.

    Raises HostUnsupported, StorageFull, OSError.
    """
    upper = directory / "upper"
    if os.path.lexists(upper):
        return
    if copied:
        lower = lower_of()
        with stage("rootfs.copy", source=str(lower)):
            _copy(lower, upper)
    elif id_map.root != (os.geteuid(), os.getegid()):
        status = os.stat(lower_of())
        _directory(directory / "work", id_map.root, 0o700)
        _directory(upper, (status.st_uid, status.st_gid), stat.S_IMODE(status.st_mode))


def _directory(path: Path, owner: tuple[int, int], mode: int) -> None:
    ours = storage_namespace.storage_map()
    uid, gid = ours.uids.inside(owner[0]), ours.gids.inside(owner[1])
    storage_namespace.require(
        ["/usr/bin/install", "-d", "-o", str(uid), "-g", str(gid), "-m", f"{mode:o}", "--", str(path)],
        f"make {path}",
    )


def _copy(lower: Path, upper: Path) -> None:
    try:
        storage_namespace.require(
            ["/bin/sh", "-c", _COPY, "sh", str(lower), str(upper)], f"copy the files of the image to {upper}"
        )
    except FirkinError as error:
        if "No space left" in str(error) or "quota exceeded" in str(error):
            raise StorageFull(
                str(error), hint="`firkin prune` frees space; the copy is tried anew"
            ) from error
        raise
