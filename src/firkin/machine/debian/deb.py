"""A kernel package, deb(5): an ar archive whose data.tar holds the image and its modules.

The rule: two names are taken out of it, by their own paths and as plain files; whatever else it holds is not
looked at, and nothing of it is run.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from firkin.errors import Corrupt
from firkin.machine.decompress import decompress
from firkin.machine.modules import MAX_MODULE_BYTES, canonical
from firkin.machine.vmlinux import MAX_IMAGE_BYTES

_AR_MAGIC, _AR_HEADER_BYTES = b"!<arch>\n", 60
_VMLINUZ = re.compile(r"boot/vmlinuz-([\w.+~-]{1,128})")
_MODULES = re.compile(r"(?:usr/)?lib/modules/([\w.+~-]{1,128})/(.+)")
_DEPENDS = re.compile(rb"\0depends=([\w,-]*)\0")


@dataclass(frozen=True, slots=True)
class KernelPackage:
    """What a package holds: the kernel's version, and each module's path below lib/modules/<version> with the
    names of the modules that it needs."""

    version: str
    depends: dict[str, tuple[str, ...]]


def read_contents(deb: bytes) -> KernelPackage:
    """Look through the package. Raises Corrupt when it is no kernel package."""
    version = ""
    depends: dict[str, tuple[str, ...]] = {}
    with _data_members(deb) as members:
        for name, member, data in members:
            if image := _VMLINUZ.fullmatch(name):
                version = image[1]
            elif (module := _MODULES.fullmatch(name)) and ".ko" in module[2]:
                depends[module[2]] = _depends(_bounded(data, member, MAX_MODULE_BYTES), name)
    if not version:
        raise Corrupt("the package holds no kernel image")
    return KernelPackage(version, depends)


def extract(deb: bytes, package: KernelPackage, modules: Iterable[str], to: Path) -> None:
    """Write vmlinuz, modules/modules.builtin and the named `modules` (paths as in `package`) below `to`.

    Raises Corrupt, OSError.
    """
    wanted = {*modules, "modules.builtin"}
    with _data_members(deb) as members:
        for name, member, data in members:
            module = _MODULES.fullmatch(name)
            if name == f"boot/vmlinuz-{package.version}":
                (to / "vmlinuz").write_bytes(_bounded(data, member, MAX_IMAGE_BYTES))
            elif module and module[1] == package.version and module[2] in wanted:
                path = to / "modules" / module[2]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(_bounded(data, member, MAX_MODULE_BYTES))


@contextmanager
def _data_members(deb: bytes) -> Iterator[Iterator[tuple[str, tarfile.TarInfo, IO[bytes]]]]:
    """The plain files of data.tar, as (name without ./, member, its bytes), while the block runs. Raises
    Corrupt.
    """
    name, start, end = next((m for m in _ar_members(deb) if m[0].startswith("data.tar")), ("", 0, 0))
    if not name:
        raise Corrupt("the package has no data.tar")
    with _uncompressed(deb, start, end) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|*") as archive:
                yield _plain_files(archive)
        except (tarfile.TarError, EOFError) as error:
            raise Corrupt(f"cannot read the package's {name}: {error}") from error


def _plain_files(archive: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes]]]:
    for member in archive:
        data = archive.extractfile(member) if member.isreg() else None
        name = member.name.removeprefix("./")
        if data is not None and ".." not in name.split("/"):
            yield name, member, data


def _ar_members(deb: bytes) -> Iterator[tuple[str, int, int]]:
    if not deb.startswith(_AR_MAGIC):
        raise Corrupt("it is not a Debian package")
    at = len(_AR_MAGIC)
    while at + _AR_HEADER_BYTES <= len(deb):
        header = deb[at : at + _AR_HEADER_BYTES]
        size = header[48:58].strip()
        begin = at + _AR_HEADER_BYTES
        if header[58:] != b"`\n" or not size.isdigit() or begin + int(size) > len(deb):
            raise Corrupt("the Debian package is damaged")
        yield header[:16].decode("ascii", "replace").strip().rstrip("/"), begin, begin + int(size)
        at = begin + int(size) + int(size) % 2


@contextmanager
def _uncompressed(deb: bytes, start: int, end: int) -> Iterator[IO[bytes]]:
    """data.tar as a stream; tarfile itself knows gzip, xz and bzip2."""
    stream = io.BytesIO(memoryview(deb)[start:end])
    if deb[start : start + 4] != b"\x28\xb5\x2f\xfd":
        yield stream
        return
    import zstandard

    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(stream) as reader:
            yield reader
    except zstandard.ZstdError as error:
        raise Corrupt(f"cannot read the package: {error}") from error


def _depends(module: bytes, name: str) -> tuple[str, ...]:
    """The modules that this one names in its .modinfo section, which no linker compresses."""
    elf = decompress(module, limit_bytes=MAX_MODULE_BYTES, what=name)
    found = _DEPENDS.search(elf)
    return tuple(canonical(each.decode()) for each in found[1].split(b",") if each) if found else ()


def _bounded(data: IO[bytes], member: tarfile.TarInfo, limit_bytes: int) -> bytes:
    if member.size > limit_bytes:
        raise Corrupt(f"{member.name} has more than {limit_bytes} bytes")
    return data.read()
