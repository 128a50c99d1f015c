"""Real images for the tests: busybox, Debian, Debian with python3, in every encoding that registries hold.

Root file systems and their compressed layers are kept in ~/.cache/firkin-tests, so that only the first
session of a machine waits for mmdebstrap.
"""

from __future__ import annotations

import fcntl
import gzip
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import zstandard

from firkin.oci import media_types as types
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.image_config import ImageConfig, encode_config
from firkin.oci.manifest import Index, Manifest, encode_index, encode_manifest
from firkin.oci.platform import Platform
from firkin.pytest.registry import Registry, digest_of

Flavour = Literal["oci", "docker"]

CACHE_DIR = Path(os.path.expanduser(f"~{os.environ.get('SUDO_USER', '')}")) / ".cache" / "firkin-tests"
SUITE = "bookworm"
_TRIMMED = [f"--dpkgopt=path-exclude=/usr/share/{place}/*" for place in ("doc", "man", "locale", "info")]
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PACKAGES = {"debian": "", "debian-python": "python3-minimal,python3,ca-certificates"}
_LAYER_TYPES = {
    "oci": {"none": types.OCI_LAYER, "gzip": types.OCI_LAYER_GZIP, "zstd": types.OCI_LAYER_ZSTD},
    "docker": {"none": types.DOCKER_LAYER, "gzip": types.DOCKER_LAYER_GZIP, "zstd": types.DOCKER_LAYER_ZSTD},
}


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image in a registry."""

    reference: str
    descriptor: Descriptor
    config: ImageConfig

    @property
    def pinned(self) -> str:
        return f"{self.reference.rpartition(':')[0]}@{self.descriptor.digest}"


@dataclass(frozen=True, slots=True)
class Images:
    """What can be pushed, and the pushing. `tars` are the root file systems, made when asked for."""

    registry: Registry
    cache_dir: Path = field(default=CACHE_DIR)

    def busybox(self) -> str:
        """The reference of busybox at the session's registry."""
        return self.push("busybox", [busybox_tar()], cmd=("sh",)).reference

    def debian(self) -> str:
        return self.push("debian", [debian_tar()], cmd=("bash",)).reference

    def debian_python(self) -> str:
        return self.push("debian-python", [debian_tar("debian-python")], cmd=("python3",)).reference

    def push(
        self,
        name: str,
        layers: list[bytes | Path],
        *,
        tag: str = "latest",
        flavour: Flavour = "oci",
        compression: str = "gzip",
        platform: str = "",
        **config: object,
    ) -> Pushed:
        """Push an image of these uncompressed tar archives; `config` are fields of ImageConfig."""
        registry = self.registry
        image = ImageConfig(
            platform=Platform.parse(platform) if platform else Platform.host(),
            diff_ids=tuple(Digest.of(tar) if isinstance(tar, bytes) else digest_of(tar) for tar in layers),
            **{"env": (_PATH,), "created": "2026-01-02T03:04:05Z"} | config,  # type: ignore[arg-type]
        )
        blobs = [compressed(tar, compression) for tar in layers]
        described = tuple(
            Descriptor(_LAYER_TYPES[flavour][compression], registry.put_blob(name, blob), _size(blob))
            for blob in blobs
        )
        content = encode_config(image)
        config_type = types.OCI_CONFIG if flavour == "oci" else types.DOCKER_CONFIG
        manifest_type = types.OCI_MANIFEST if flavour == "oci" else types.DOCKER_MANIFEST
        described_config = Descriptor(config_type, registry.put_blob(name, content), len(content))
        manifest = encode_manifest(Manifest(manifest_type, described_config, described))
        digest = registry.put_manifest(name, tag, manifest, manifest_type)
        descriptor = Descriptor(manifest_type, digest, len(manifest), image.platform)
        return Pushed(registry.reference(name, tag), descriptor, image)

    def push_index(
        self, name: str, entries: list[Pushed], *, tag: str = "latest", flavour: Flavour = "oci"
    ) -> Pushed:
        """Push an index over images that are in the same repository already."""
        media_type = types.OCI_INDEX if flavour == "oci" else types.DOCKER_INDEX
        content = encode_index(Index(media_type, tuple(entry.descriptor for entry in entries)))
        digest = self.registry.put_manifest(name, tag, content, media_type)
        descriptor = Descriptor(media_type, digest, len(content))
        return Pushed(self.registry.reference(name, tag), descriptor, entries[0].config)


@pytest.fixture(scope="session")
def images(registry: Registry) -> Images:
    return Images(registry)


def tar_of(files: Mapping[str, bytes | str | None], *, mode: int = 0o755) -> bytes:
    """A tar archive: name to content, or to None for a directory, or to `-> target` for a symlink."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mode = mode
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content.removeprefix("-> ")
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def busybox_tar() -> bytes:
    """A root file system of Debian's static busybox, with a link for each of its applets."""
    program = shutil.which("busybox")
    if program is None:
        pytest.fail("busybox is missing: apt install busybox-static, or run ./dev test")
    listed = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.split()
    files: dict[str, bytes | str | None] = dict.fromkeys(
        ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "usr/bin", "var"]
    )
    files["bin/busybox"] = Path(program).read_bytes()
    files |= {f"bin/{applet}": "-> busybox" for applet in sorted(listed) if applet != "busybox"}
    files["etc/passwd"] = (
        b"root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/false\nguest:x:1000:1000::/home:/bin/sh\n"
        b"nobody:x:65534:65534::/home:/bin/false\n"
    )
    files["etc/group"] = b"root:x:0:\ndaemon:x:1:\nguest:x:1000:\ndisk:x:6:guest\nnogroup:x:65534:\n"
    return tar_of(files)


def debian_tar(kind: str = "debian") -> Path:
    """A minimal Debian as a tar archive, 126 MB (172 MB with python3: kind "debian-python")."""
    packages = [f"--include={_PACKAGES[kind]}"] if _PACKAGES[kind] else []

    def build(path: Path) -> None:
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", *_TRIMMED, *packages]
        subprocess.run([*command, SUITE, str(path)], check=True, timeout=900)

    return cached(f"{kind}.tar", build)


def compressed(tar: bytes | Path, compression: str) -> bytes | Path:
    """`tar` as a layer blob."""
    if compression == "none":
        return tar
    if isinstance(tar, bytes):
        return gzip.compress(tar, 6, mtime=0) if compression == "gzip" else zstandard.compress(tar)
    archive = tar

    def build(path: Path) -> None:
        with archive.open("rb") as source, path.open("wb") as out:
            if compression == "gzip":
                subprocess.run(["gzip", "-n"], check=True, stdin=source, stdout=out)
            else:
                zstandard.ZstdCompressor().copy_stream(source, out, size=archive.stat().st_size)

    return cached(f"{archive.name}.{compression}", build)


def cached(name: str, build: Callable[[Path], None]) -> Path:
    """A file of the cache, made by `build(path)` when it is missing. One session builds, the others wait."""
    CACHE_DIR.mkdir(parents=True, exist_ok=True)
    path = CACHE_DIR / name
    with (CACHE_DIR / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            unfinished = path.with_name(f".{name}.{os.getpid()}")
            try:
                build(unfinished)
                unfinished.rename(path)
            finally:
                unfinished.unlink(missing_ok=True)
    return path


def _size(blob: bytes | Path) -> int:
    return len(blob) if isinstance(blob, bytes) else blob.stat().st_size
