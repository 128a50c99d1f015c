"""Packages of a suite: from its signed Release, through the hash of its index, to one package's file.

The rule: each step is checked by the one before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from firkin.errors import Corrupt, DigestMismatch, IntegrityError, NotFound
from firkin.machine.debian.control import Paragraph, Version, paragraphs
from firkin.machine.debian.fetch import Fetcher
from firkin.machine.debian.signature import verify
from firkin.machine.debian.sources import AptConfig, Source
from firkin.machine.decompress import decompress

_MAX_RELEASE_BYTES = 16 << 20
_MAX_INDEX_BYTES = 256 << 20
_MAX_UNCOMPRESSED_BYTES = 1 << 30
_SUFFIXES = (".xz", ".gz", "")


@dataclass(frozen=True, slots=True)
class Checked:
    """A file of an archive: its size and SHA-256, as something signed says."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Package:
    """A binary package: where it is, and what its file must be."""

    name: str
    version: str
    depends: str
    uri: str
    file: Checked


async def packages(
    source: Source,
    fetcher: Fetcher,
    config: AptConfig,
    apt_dir: Path,
    prefix: str,
    architecture: str = "amd64",
) -> list[Package]:
    """The packages of `source` whose names begin with `prefix`.

    Raises IntegrityError for what is not signed or not what was signed, RegistryError, NotFound, Corrupt.
    """
    release = await _release(source, fetcher, config, apt_dir)
    files = dict(_checksums(release.get("sha256", ""), source))
    found: list[Package] = []
    for directory in _index_directories(source, architecture):
        text = await _index(
            source, directory, files, fetcher, by_hash=release.get("acquire-by-hash") == "yes"
        )
        found += _matching(text, source, prefix)
    return found


async def fetch_package(package: Package, fetcher: Fetcher) -> bytes:
    """The package's file. Raises DigestMismatch, RegistryError, NotFound."""
    data = await fetcher.fetch(package.uri, limit_bytes=package.file.size_bytes)
    return _check(data, package.file, package.uri)


async def _release(source: Source, fetcher: Fetcher, config: AptConfig, apt_dir: Path) -> Paragraph:
    what = f"the Release of {source}"
    try:
        inline = await fetcher.fetch(source.release_uri + "InRelease", limit_bytes=_MAX_RELEASE_BYTES)
        content = verify(inline, None, source.signed_by, apt_dir, what)
    except NotFound:
        release = await fetcher.fetch(source.release_uri + "Release", limit_bytes=_MAX_RELEASE_BYTES)
        signature = await fetcher.fetch(source.release_uri + "Release.gpg", limit_bytes=_MAX_RELEASE_BYTES)
        content = verify(release, signature, source.signed_by, apt_dir, what)
    fields = next(paragraphs(content.decode("utf-8", "replace"), what=what), {})
    if config.checks_valid_until and (until := fields.get("valid-until")):
        _refuse_expired(until, what)
    return fields


def _refuse_expired(until: str, what: str) -> None:
    """An old Release that is still signed would bring back old holes."""
    try:
        expired = parsedate_to_datetime(until) < datetime.now(UTC)
    except (TypeError, ValueError) as error:
        raise Corrupt(f"{what} has a Valid-Until that is no date: {until!r}") from error
    if expired:
        raise IntegrityError(
            f"{what} expired on {until}", hint="the mirror is stale, or this host's clock is wrong"
        )


def _checksums(text: str, source: Source) -> Iterator[tuple[str, Checked]]:
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1].isdecimal():
            yield words[2], Checked(int(words[1]), words[0])
        elif words:
            raise Corrupt(f"the Release of {source} has a line that is no checksum: {line!r}")


def _index_directories(source: Source, architecture: str) -> list[str]:
    if source.suite.endswith("/"):
        return [""]
    return [f"{component}/binary-{architecture}/" for component in source.components]


async def _index(
    source: Source, directory: str, files: dict[str, Checked], fetcher: Fetcher, *, by_hash: bool
) -> str:
    """The text of Packages in `directory`; empty where the suite has none for it."""
    for suffix in _SUFFIXES:
        name = f"{directory}Packages{suffix}"
        file = files.get(name)
        if file is None or file.size_bytes > _MAX_INDEX_BYTES:
            continue
        path = f"{directory}by-hash/SHA256/{file.sha256}" if by_hash else name
        data = await fetcher.fetch(source.release_uri + path, limit_bytes=file.size_bytes)
        data = _check(data, file, name)
        return decompress(data, limit_bytes=_MAX_UNCOMPRESSED_BYTES, what=name).decode("utf-8", "replace")
    return ""


def _matching(text: str, source: Source, prefix: str) -> Iterator[Package]:
    wanted = f"Package: {prefix}"
    for block in text.split("\n\n"):
        if block.lstrip("\n").startswith(wanted):
            yield _package(next(paragraphs(block, what=f"the index of {source}")), source)


def _package(fields: Paragraph, source: Source) -> Package:
    try:
        file = Checked(int(fields["size"]), fields["sha256"])
        name, version, path = fields["package"], fields["version"], fields["filename"]
    except (KeyError, ValueError) as error:
        raise Corrupt(f"the index of {source} has a package without {error}") from error
    if ".." in path.split("/"):
        raise Corrupt(f"the index of {source} has a package outside of its archive: {path!r}")
    return Package(
        name, version, fields.get("depends", ""), f"{source.uri.rstrip('/')}/{path.lstrip('./')}", file
    )


def newest(candidates: list[Package]) -> Package:
    """The one with the highest version."""
    return max(candidates, key=lambda package: Version(package.version))


def _check(data: bytes, file: Checked, what: str) -> bytes:
    if len(data) != file.size_bytes or hashlib.sha256(data).hexdigest() != file.sha256:
        raise DigestMismatch(
            f"{what} is not what the archive's index promised", hint="try again; nothing was kept"
        )
    return data
