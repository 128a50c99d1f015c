"""`firkin kernel install` from an archive of the test's own, signed with a key of its own."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from firkin.errors import Corrupt, DigestMismatch, FirkinError, HostUnsupported, IntegrityError, NotFound
from firkin.machine import choose_kernel
from firkin.machine.debian.install import install_kernel
from firkin.machine.modules import load_order
from firkin.settings import Settings
from tests.unit.machine.test_vmlinux import bzimage

VERSION = "6.1.0-7-cloud-amd64"
WANTED = ("virtio_mmio", "virtio_blk", "virtio_console", "virtio_net", "virtiofs")
DEPENDS = {
    "drivers/virtio/virtio_ring": "",
    "drivers/virtio/virtio": "virtio_ring",
    "drivers/virtio/virtio_mmio": "virtio,virtio_ring",
    "drivers/block/virtio_blk": "virtio,virtio_ring",
    "drivers/char/virtio_console": "virtio_ring,virtio",
    "net/core/failover": "",
    "drivers/net/net_failover": "failover",
    "drivers/net/virtio_net": "net_failover,virtio,virtio_ring",
    "fs/fuse/fuse": "",
    "fs/fuse/virtiofs": "fuse,virtio,virtio_ring",
    "drivers/gpu/unwanted": "",
}


def deb(
    version: str = VERSION, *, pack: Callable[[bytes], bytes] = lzma.compress, suffix: str = ".xz"
) -> bytes:
    """A kernel package as Debian builds it: an ar of control.tar and data.tar."""
    files = {f"boot/vmlinuz-{version}": bzimage(b"kernel", version=version.encode())}
    files[f"lib/modules/{version}/modules.builtin"] = b"kernel/fs/ext4/ext4.ko\n"
    for name, needs in DEPENDS.items():
        elf = b"\x7fELF...license=GPL\0depends=" + needs.encode() + b"\0name=x\0"
        files[f"lib/modules/{version}/kernel/{name}.ko"] = elf
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return _ar({"debian-binary": b"2.0\n", "control.tar.xz": b"-", f"data.tar{suffix}": pack(tar.getvalue())})


def _ar(members: dict[str, bytes]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, data in members.items():
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode())
        parts.append(data + b"\n" * (len(data) % 2))
    return b"".join(parts)


@dataclass
class Archive:
    """A Debian archive in `root`, and the apt directory of a host that uses it."""

    root: Path
    apt_dir: Path
    gnupg: Path
    valid_until: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(days=1))
    fields: str = ""

    def publish(self, package: bytes, *, version: str = "6.1.7-1") -> None:
        """Put a kernel package and the package that depends on it into suite `stable`."""
        pool = self.root / "pool" / "kernel.deb"
        pool.parent.mkdir(parents=True, exist_ok=True)
        pool.write_bytes(package)
        name = f"linux-image-{VERSION}"
        index = self._paragraph(name, version, "", package)
        index += self._paragraph("linux-image-cloud-amd64", version, f"{name} (= {version})", b"meta")
        directory = self.root / "dists" / "stable" / "main" / "binary-amd64"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "Packages.gz").write_bytes(gzip.compress(index.encode(), mtime=0))
        self.sign()

    def sign(self) -> None:
        """Write InRelease over the index that is there."""
        index = (self.root / "dists/stable/main/binary-amd64/Packages.gz").read_bytes()
        digest = hashlib.sha256(index).hexdigest()
        release = (
            f"Suite: stable\nValid-Until: {format_datetime(self.valid_until, usegmt=True)}\n{self.fields}"
            f"SHA256:\n {digest} {len(index)} main/binary-amd64/Packages.gz\n"
        )
        self.gpg(
            "--clearsign", "--output", "-", stdin=release.encode(), to=self.root / "dists/stable/InRelease"
        )

    def gpg(self, *args: str, stdin: bytes = b"", to: Path | None = None) -> bytes:
        argv = ["gpg", "--homedir", str(self.gnupg), "--batch", "--quiet", "--yes", *args]
        output = subprocess.run(argv, input=stdin, check=True, capture_output=True).stdout
        if to is not None:
            to.write_bytes(output)
        return output

    def use(self, uri: str, signed_by: str) -> None:
        (self.apt_dir / "sources.list").write_text(f"deb [signed-by={signed_by}] {uri} stable main\n")

    def _paragraph(self, name: str, version: str, depends: str, package: bytes) -> str:
        digest = hashlib.sha256(package).hexdigest()
        return (
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nDepends: {depends}\n"
            f"Filename: pool/kernel.deb\nSize: {len(package)}\nSHA256: {digest}\n\n"
        )


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gpg home with a throw-away signing key; key.gpg and key.asc are its public half."""
    if shutil.which("gpg") is None or shutil.which("gpgv") is None:
        pytest.skip("needs gpg and gpgv")
    home = tmp_path_factory.mktemp("g", numbered=True)
    home.chmod(0o700)
    argv = ["gpg", "--homedir", home, "--batch", "--quiet"]
    generate = ["--passphrase", "", "--quick-generate-key", "test@example", "ed25519", "sign", "never"]
    subprocess.run([*argv, *generate], check=True, capture_output=True)
    for name, more in (("key.gpg", []), ("key.asc", ["--armor"])):
        exported = subprocess.run([*argv, *more, "--export"], check=True, capture_output=True).stdout
        (home / name).write_bytes(exported)
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False, capture_output=True)
    return home


@pytest.fixture
def archive(tmp_path: Path, key: Path) -> Iterator[Archive]:
    for name in ("archive", "apt/apt.conf.d", "apt/sources.list.d"):
        (tmp_path / name).mkdir(parents=True)
    archive = Archive(tmp_path / "archive", tmp_path / "apt", key)
    archive.use(f"file://{archive.root}", str(key / "key.gpg"))
    yield archive
    subprocess.run(["gpgconf", "--homedir", key, "--kill", "all"], check=False, capture_output=True)


def installed(settings: Settings) -> list[str]:
    kernels = settings.paths.kernels_dir
    return sorted(os.listdir(kernels)) if kernels.exists() else []


async def refused(settings: Settings, archive: Archive, error: type[FirkinError]) -> str:
    """What install_kernel says as it refuses; nothing was kept."""
    with pytest.raises(error) as caught:
        await install_kernel(settings, apt_dir=archive.apt_dir)
    assert installed(settings) == []
    assert caught.value.hint or isinstance(caught.value, Corrupt)
    return str(caught.value)


async def test_the_kernel_and_the_modules_a_machine_needs_are_installed(
    settings: Settings, archive: Archive
) -> None:
    archive.publish(deb())
    kernel = await install_kernel(settings, apt_dir=archive.apt_dir)
    assert kernel.version == VERSION
    assert choose_kernel(settings) == kernel
    order = load_order(kernel.modules_dir, (*WANTED, "ext4"))
    assert all(module.path.is_file() for module in order)
    names = [module.name for module in order]
    for path, needs in DEPENDS.items():
        for need in filter(None, needs.split(",")):
            assert names.index(need) < names.index(path.rpartition("/")[2])
    assert not list(kernel.modules_dir.rglob("unwanted.ko"))
    assert installed(settings) == [VERSION]


async def test_installing_again_replaces_the_kernel_whole(settings: Settings, archive: Archive) -> None:
    archive.publish(deb())
    first = await install_kernel(settings, apt_dir=archive.apt_dir)
    (first.modules_dir / "modules.dep").write_text("damaged")
    second = await install_kernel(settings, apt_dir=archive.apt_dir)
    assert load_order(second.modules_dir, WANTED)
    assert installed(settings) == [VERSION]


@pytest.mark.parametrize(
    ("program", "suffix"),
    [(["xz", "-c"], ".xz"), (["zstd", "-qc"], ".zst"), (["gzip", "-c"], ".gz"), (["cat"], "")],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
async def test_packages_are_read_however_they_are_packed(
    settings: Settings, archive: Archive, program: list[str], suffix: str
) -> None:
    def pack(data: bytes) -> bytes:
        return subprocess.run(program, input=data, capture_output=True, check=True).stdout

    archive.publish(deb(pack=pack, suffix=suffix))
    assert (await install_kernel(settings, apt_dir=archive.apt_dir)).version == VERSION


async def test_an_archive_behind_http_and_an_armored_key_serve_as_well(
    settings: Settings, archive: Archive, key: Path
) -> None:
    archive.publish(deb())

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(archive.root)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        archive.use(f"http://127.0.0.1:{server.server_port}", str(key / "key.asc"))
        assert (await install_kernel(settings, apt_dir=archive.apt_dir)).version == VERSION
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_a_detached_signature_serves_where_there_is_no_inrelease(
    settings: Settings, archive: Archive
) -> None:
    archive.publish(deb())
    suite = archive.root / "dists" / "stable"
    content = archive.gpg("--decrypt", str(suite / "InRelease"))
    (suite / "Release").write_bytes(content)
    archive.gpg("--detach-sign", "--output", "-", stdin=content, to=suite / "Release.gpg")
    (suite / "InRelease").unlink()
    assert (await install_kernel(settings, apt_dir=archive.apt_dir)).version == VERSION
    (suite / "Release").write_bytes(content + b"X: y\n")
    shutil.rmtree(settings.paths.kernels_dir)
    await refused(settings, archive, IntegrityError)


async def test_a_release_by_a_key_that_apt_does_not_trust_is_refused(
    settings: Settings, archive: Archive, tmp_path: Path
) -> None:
    archive.publish(deb())
    stranger = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not stranger.exists():
        pytest.skip("needs debian-archive-keyring")
    archive.use(f"file://{archive.root}", str(stranger))
    assert "not signed by a key that apt trusts" in await refused(settings, archive, IntegrityError)


async def test_a_release_that_was_changed_after_signing_is_refused(
    settings: Settings, archive: Archive
) -> None:
    archive.publish(deb())
    path = archive.root / "dists" / "stable" / "InRelease"
    path.write_bytes(path.read_bytes().replace(b"Suite: stable", b"Suite: stablE"))
    await refused(settings, archive, IntegrityError)


async def test_words_around_the_signed_text_are_not_believed(settings: Settings, archive: Archive) -> None:
    archive.publish(deb())
    index = archive.root / "dists/stable/main/binary-amd64/Packages.gz"
    evil = gzip.compress(gzip.decompress(index.read_bytes()).replace(b"kernel.deb", b"evilll.deb"), mtime=0)
    index.write_bytes(evil)
    claim = f"SHA256:\n {hashlib.sha256(evil).hexdigest()} {len(evil)} main/binary-amd64/Packages.gz\n"
    path = archive.root / "dists" / "stable" / "InRelease"
    path.write_bytes(claim.encode() + b"\n" + path.read_bytes())
    await refused(settings, archive, IntegrityError)


async def test_an_unsigned_archive_is_refused_even_where_apt_would_trust_it(
    settings: Settings, archive: Archive
) -> None:
    archive.publish(deb())
    suite = archive.root / "dists" / "stable"
    (suite / "Release").write_bytes(archive.gpg("--decrypt", str(suite / "InRelease")))
    (suite / "InRelease").unlink()
    (archive.apt_dir / "sources.list").write_text(f"deb [trusted=yes] file://{archive.root} stable main\n")
    assert "Release.gpg" in await refused(settings, archive, NotFound)


async def test_an_expired_release_is_refused_unless_apt_is_told_not_to_care(
    settings: Settings, archive: Archive
) -> None:
    archive.valid_until = datetime.now(UTC) - timedelta(days=1)
    archive.publish(deb())
    assert "expired" in await refused(settings, archive, IntegrityError)
    (archive.apt_dir / "apt.conf").write_text('Acquire::Check-Valid-Until "false";\n')
    assert (await install_kernel(settings, apt_dir=archive.apt_dir)).version == VERSION


async def test_an_index_that_is_not_what_was_signed_is_refused(settings: Settings, archive: Archive) -> None:
    archive.publish(deb())
    index = archive.root / "dists/stable/main/binary-amd64/Packages.gz"
    data = bytearray(index.read_bytes())
    data[-1] ^= 1
    index.write_bytes(data)
    await refused(settings, archive, DigestMismatch)


@pytest.mark.parametrize("damage", ["changed", "truncated"])
async def test_a_package_that_is_not_what_the_index_says_is_refused(
    settings: Settings, archive: Archive, damage: str
) -> None:
    archive.publish(deb())
    pool = archive.root / "pool" / "kernel.deb"
    data = bytearray(pool.read_bytes())
    data[200] ^= 1
    pool.write_bytes(data if damage == "changed" else data[:-1])
    await refused(settings, archive, DigestMismatch)


@pytest.mark.parametrize(
    "package",
    [
        b"not an archive",
        _ar({"data.tar.xz": b"damaged"}),
        _ar({"control.tar": b""}),
        deb()[:-500],
        deb(version="../../x"),
    ],
    ids=["no ar", "no tar", "no data", "cut", "a version that leaves its directory"],
)
async def test_a_signed_package_that_is_no_kernel_is_corrupt_and_leaves_nothing(
    settings: Settings, archive: Archive, package: bytes
) -> None:
    archive.publish(package)
    await refused(settings, archive, Corrupt)


async def test_no_archive_with_the_package_is_an_error_with_the_way_out(
    settings: Settings, archive: Archive
) -> None:
    (archive.apt_dir / "sources.list").write_text("")
    assert "linux-image-cloud-amd64" in await refused(settings, archive, NotFound)


async def test_without_gpgv_nothing_is_fetched_unverified(
    settings: Settings, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.publish(deb())
    monkeypatch.setattr("firkin.machine.debian.signature.shutil.which", lambda _: None)
    assert "gpgv" in await refused(settings, archive, HostUnsupported)


async def test_one_broken_source_does_not_hide_the_kernel_of_another(
    settings: Settings, archive: Archive
) -> None:
    archive.publish(deb())
    sources = archive.apt_dir / "sources.list"
    sources.write_text(f"deb file:///nowhere stable main\n{sources.read_text()}")
    assert (await install_kernel(settings, apt_dir=archive.apt_dir)).version == VERSION


async def test_by_hash_is_used_where_the_archive_offers_it(settings: Settings, archive: Archive) -> None:
    archive.fields = "Acquire-By-Hash: yes\n"
    archive.publish(deb())
    index = archive.root / "dists/stable/main/binary-amd64/Packages.gz"
    by_hash = index.parent / "by-hash" / "SHA256"
    by_hash.mkdir(parents=True)
    index.rename(by_hash / hashlib.sha256(index.read_bytes()).hexdigest())
    assert (await install_kernel(settings, apt_dir=archive.apt_dir)).version == VERSION
