"""Names of snapshots: chosen, or the container's with a number.

snapshot-names/<name> -> <id>      see container.naming
"""

from __future__ import annotations

from itertools import count

from firkin.container.naming import MAX_NAME_CHARS, Naming
from firkin.errors import SnapshotNotFound
from firkin.paths import Paths


def of(paths: Paths) -> Naming:
    """The names of the snapshots there."""
    return Naming(
        kind="snapshot",
        links_dir=paths.snapshot_names_dir,
        objects_dir=paths.snapshots_dir,
        missing=SnapshotNotFound,
        lists="firkin snapshot ls",
        removes="firkin snapshot rm",
    )


def make_up(paths: Paths, container_name: str) -> str:
    """`<container>-<n>`, which no snapshot has now; whoever takes it must still be ready for NameInUse."""
    naming = of(paths)
    names = (f"{container_name[: MAX_NAME_CHARS - 1 - len(str(n))]}-{n}" for n in count(1))
    return next(name for name in names if naming.named(name) is None)
