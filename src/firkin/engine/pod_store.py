"""The store of a pod: the disk of its members' root file systems, and which layers are on it for sure.

    containers/<pod>/store.ext4      sparse, written by the pod's machine alone
    containers/<pod>/layers.json     the layers that are known to be on that disk, whatever happens next

The disk has a journal, so whatever ends a machine, the next one finds its file system consistent. A layer
that was unpacked is in use at once, and on record when the machine has written it to the disk. So a machine
that is killed costs the layers that were not: they are unpacked again.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from firkin.container.record import Record
from firkin.errors import Corrupt
from firkin.machine.spec import Disk
from firkin.store.files import disk_errors, replace_file, sync_dir
from firkin.volume.disk import write_disk

_STORE, _NEW, _LAYERS = "store.ext4", "store.new", "layers.json"


def ready(record: Record) -> Disk:
    """The disk of the pod, made where it is missing. The owner's. Raises StorageFull."""
    path = record.dir / _STORE
    if not path.exists():
        new = record.dir / _NEW
        with disk_errors(path):
            new.unlink(missing_ok=True)
            write_disk(new, record.spec().disk_bytes, None, "")
            new.rename(path)
            sync_dir(record.dir)
    return Disk(path=path, format="raw")


def kept_layers(record: Record) -> list[str]:
    """The layers that are on the disk for sure. Raises Corrupt."""
    path = record.dir / _LAYERS
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[str])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        raise Corrupt(
            f"cannot read {path}: {error}", hint="remove the file: its layers are unpacked anew"
        ) from error


def keep_layers(record: Record, layers: Iterable[str]) -> None:
    """Put on record that `layers` are on the disk for sure. The owner's. Raises StorageFull."""
    replace_file(record.dir / _LAYERS, msgspec.json.encode(sorted(layers)))
