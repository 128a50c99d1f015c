"""Written: which files `firkin setup` wrote, so that they can be taken away again.

$CONFIG/setup.json      a line for each: path, digest of what was written, directories that were made for it

The rule: a file is on record before it is there, and only one that is as we wrote it is written over. A crash
between the two leaves a line without a file, or with another one, which undoing passes over.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from firkin.errors import Corrupt
from firkin.host import reading
from firkin.host.remedies import File
from firkin.store.files import disk_errors, replace_file


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: str
    sha256: str
    made: tuple[str, ...] = ()
    """The directories, the innermost first."""


class Written(msgspec.Struct, frozen=True):
    """The record at `path`."""

    path: Path

    def entries(self) -> list[Entry]:
        """Raises Corrupt."""
        content = reading.content(self.path)
        try:
            return msgspec.json.decode(content, type=list[Entry]) if content is not None else []
        except msgspec.MsgspecError as error:
            hint = "look into it for what was written, then remove it"
            raise Corrupt(f"cannot read {self.path}: {error}", hint=hint) from error

    def untouched(self) -> set[str]:
        """What is there as it was written. Raises Corrupt."""
        return {entry.path for entry in self.entries() if _is_as_written(entry)}

    def write(self, files: Iterable[File]) -> list[File]:
        """Write `files`; what a person made stays. Raises Corrupt, StorageFull, HostUnsupported."""
        files, ours = list(files), self.untouched()
        before = {entry.path: entry for entry in self.entries()}
        if files:
            record = before | {file.path: _entry(file, before.get(file.path)) for file in files}
            replace_file(self.path, msgspec.json.format(msgspec.json.encode(list(record.values()))))
        for path in ours & {file.path for file in files}:
            with disk_errors(Path(path)):
                os.unlink(path)
        return [file for file in files if _write(file)]

    def undo(self) -> tuple[list[str], list[str]]:
        """Remove what is as it was written: what went, and what was changed and stays. Raises Corrupt."""
        gone, stay = [], []
        for entry in self.entries():
            if _is_as_written(entry):
                with disk_errors(Path(entry.path)):
                    os.unlink(entry.path)
                gone.append(entry.path)
                _remove_empty(entry.made)
            elif os.path.lexists(entry.path):
                stay.append(entry.path)
        self.path.unlink(missing_ok=True)
        _remove_empty([str(self.path.parent)])
        return gone, stay


def _entry(file: File, before: Entry | None) -> Entry:
    made = tuple(str(each) for each in Path(file.path).parents if not each.exists())
    return Entry(
        path=file.path, sha256=_digest(os.fsencode(file.text)), made=made or (before.made if before else ())
    )


def _write(file: File) -> bool:
    """Whether it was not there yet. It appears whole, by link(2); what a crash left on the way is removed."""
    path = Path(file.path)
    temporary = path.with_name(f".{path.name}.firkin")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        try:
            if file.link:
                temporary.symlink_to(file.text)
            else:
                _write_synced(temporary, file.text)
            os.link(temporary, path, follow_symlinks=False)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
    return True


def _write_synced(path: Path, text: str) -> None:
    with path.open("x") as made:
        made.write(text)
        made.flush()
        os.fsync(made.fileno())


def _is_as_written(entry: Entry) -> bool:
    is_link = os.path.islink(entry.path)
    now = os.fsencode(os.readlink(entry.path)) if is_link else reading.content(entry.path)
    return now is not None and _digest(now) == entry.sha256


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _remove_empty(directories: Iterable[str]) -> None:
    for directory in directories:
        try:
            os.rmdir(directory)
        except OSError:  # somebody uses it
            return
