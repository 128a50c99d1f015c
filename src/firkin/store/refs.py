"""Refs: what each name stands for, one small file a name, replaced by rename.

    data/refs/<registry>/<repository>/_tags/<tag>        a descriptor as JSON
    data/refs/<registry>/<repository>/_digests/<hex>     the same, of an image that was asked for by digest

No part of a repository's name begins with `_`, so the two directories collide with none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from firkin.errors import Corrupt, UsageError
from firkin.oci.descriptor import Descriptor, decode_descriptor, encode_descriptor
from firkin.oci.reference import Reference
from firkin.store.files import TEMPORARY_PREFIX, disk_errors, replace_file, sync_dir

_TAGS, _DIGESTS = "_tags", "_digests"
_MAX_BYTES = 64 << 10


class Refs:
    """The names under one directory. Readers take no lock."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, reference: Reference, descriptor: Descriptor) -> None:
        """Make `reference` stand for `descriptor`."""
        replace_file(self._path(reference), encode_descriptor(descriptor))

    def remove(self, reference: Reference) -> bool:
        """Forget `reference`, even one whose file cannot be read; False where it is not known."""
        path = self._path(reference)
        with disk_errors(path):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return False
            sync_dir(path.parent)
        self._prune(path.parent)
        return True

    def read(self, reference: Reference) -> Descriptor | None:
        """What `reference` stands for; a digest also finds a tag of its repository. Raises Corrupt."""
        found = _read(self._path(reference))
        if found is not None or reference.digest is None:
            return found
        for path in self._files(self._root / reference.registry / reference.repository / _TAGS):
            found = _read(path)
            if found is not None and found.digest == reference.digest:
                return found
        return None

    def all(self) -> Iterator[tuple[Reference, Descriptor | Corrupt]]:
        """Every name in order, and what it stands for, or the error that tells why it cannot be read."""
        for directory, subdirectories, _ in os.walk(self._root):
            subdirectories.sort()
            if os.path.basename(directory) not in (_TAGS, _DIGESTS):
                continue
            for path in self._files(Path(directory)):
                yield from self._record(path)

    def delete_temporaries(self) -> None:
        """Delete what writers who died left. The caller holds the lock that keeps living ones away."""
        for directory, _, names in os.walk(self._root):
            for name in names:
                if name.startswith(TEMPORARY_PREFIX):
                    Path(directory, name).unlink(missing_ok=True)

    def _record(self, path: Path) -> Iterator[tuple[Reference, Descriptor | Corrupt]]:
        registry, *repository, kind, name = path.relative_to(self._root).parts
        mark = f":{name}" if kind == _TAGS else f"@sha256:{name}"
        try:
            reference = Reference.parse(f"{registry}/{'/'.join(repository)}{mark}")
        except UsageError as error:
            raise Corrupt(f"{path} is no name of an image: {error}", hint="remove the file") from error
        try:
            descriptor = _read(path)
        except Corrupt as error:
            yield reference, error
            return
        if descriptor is not None:  # None: removed since the directory was read
            yield reference, descriptor

    def _path(self, reference: Reference) -> Path:
        repository = self._root / reference.registry / reference.repository
        if reference.digest is not None:
            return repository / _DIGESTS / reference.digest.hex
        return repository / _TAGS / reference.tag

    @staticmethod
    def _files(directory: Path) -> list[Path]:
        try:
            names = os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [directory / name for name in sorted(names) if not name.startswith(TEMPORARY_PREFIX)]

    def _prune(self, directory: Path) -> None:
        """Remove directories that became empty. A writer who needs one at this moment makes it again."""
        while directory != self._root:
            try:
                directory.rmdir()
            except OSError:
                return
            directory = directory.parent


def _read(path: Path) -> Descriptor | None:
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Corrupt(f"cannot read {path}: {error.strerror}", hint="mend its mode, or remove it") from error
    try:
        return decode_descriptor(content, str(path))
    except Corrupt as error:
        raise Corrupt(
            str(error), hint="pull the image again, or remove the name with `firkin rmi`"
        ) from error
