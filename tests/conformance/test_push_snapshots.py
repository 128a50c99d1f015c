"""Snapshots from host to host, by archives and by a real registry; skopeo carries them bit by bit."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

import firkin
from firkin.container import layers
from firkin.engine.images import Images as LocalImages
from firkin.engine.snapshot_moves import export, import_archive, push
from firkin.errors import (
    Corrupt,
    DigestMismatch,
    FirkinError,
    NameInUse,
    UnsupportedMediaType,
    Untrusted,
    UsageError,
)
from firkin.events import Event, subscribed
from firkin.oci.digest import Digest
from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import Home, fresh_home
from firkin.pytest.registry import Registry
from firkin.settings import Settings
from firkin.snapshot import record
from firkin.snapshot.oci_archive import read_archive
from firkin.snapshot.record import Snapshot
from firkin.snapshot.unpack import unpack
from firkin.store.store import Store
from firkin.trust.sign import load_private_key
from tests.support.images import tar_of
from tests.support.kills import survives
from tests.support.signing import key_pair, policy
from tests.support.snapshots import MIB, make_snapshot, noisy_memory

MEMORY = noisy_memory(20 * MIB)
KEEP = "--preserve-digests"


@pytest.fixture
async def snapshot(settings: Settings) -> Snapshot:
    return await make_snapshot(settings, memory=MEMORY)


@pytest.fixture
def elsewhere() -> Iterator[Home]:
    """Another host."""
    with fresh_home() as home:
        yield home


@pytest.fixture
def there(elsewhere: Home) -> Settings:
    return Settings.load(elsewhere.environ())


@pytest.fixture
async def archive(settings: Settings, snapshot: Snapshot, tmp_path: Path) -> Path:
    path = tmp_path / "frozen.tar"
    await export(settings, "frozen", path)
    return path


def tool(*command: str) -> bytes:
    """What somebody else's program says, which must succeed."""
    ended = subprocess.run(command, capture_output=True, timeout=120)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout


def raw(source: str) -> bytes:
    return tool("skopeo", "inspect", "--tls-verify=false", "--raw", source)


def arrived(there: Settings, snapshot: Snapshot, name: str = "frozen") -> None:
    """Everything of `snapshot` is there, under `name`, and no blob that only the way needed."""
    found = record.find(there.paths, name)
    assert (there.paths.snapshot_dir(found.id) / "memory").read_bytes() == MEMORY
    assert found.spec == snapshot.spec
    layers.present(there.paths, found.layers)
    assert (there.paths.rootfs_dir / snapshot.spec.rootfs_key / "image.ext4").exists()
    assert len(os.listdir(there.paths.blobs_dir)) == 3  # the image's manifest, config and layer
    assert os.listdir(there.paths.ingest_dir) == []


def nothing_there(there: Settings) -> None:
    assert record.snapshots(there.paths) == []
    for directory in (there.paths.blobs_dir, there.paths.disks_dir, there.paths.snapshots_dir):
        assert not directory.exists() or os.listdir(directory) == []


# --- archives ---------------------------------------------------------------------------------------------


async def test_an_archive_brings_a_snapshot_to_another_host(
    archive: Path, there: Settings, snapshot: Snapshot, settings: Settings
) -> None:
    assert archive.stat().st_size < len(MEMORY) * 0.6
    assert (await import_archive(there, archive)).name == "frozen"
    arrived(there, snapshot)
    assert len(os.listdir(settings.paths.blobs_dir)) == 3  # of the image, which was there before
    with pytest.raises(NameInUse, match="'frozen' is in use"):
        await import_archive(there, archive)
    await import_archive(there, archive, "twin")
    arrived(there, snapshot, "twin")


async def test_the_same_snapshot_gives_the_same_archive(
    archive: Path, settings: Settings, tmp_path: Path
) -> None:
    again = tmp_path / "again.tar"
    await export(settings, "frozen", again)
    assert again.read_bytes() == archive.read_bytes()


async def test_skopeo_carries_an_archive_through_a_layout_and_a_registry(
    archive: Path, registry: Registry, there: Settings, snapshot: Snapshot, tmp_path: Path
) -> None:
    target = f"docker://{registry.reference('moved/by-skopeo')}"
    layout, back = f"oci:{tmp_path}/layout:it", tmp_path / "back.tar"
    tool("skopeo", "copy", KEEP, f"oci-archive:{archive}", layout)
    tool("skopeo", "copy", KEEP, "--dest-tls-verify=false", layout, target)
    tool("skopeo", "copy", KEEP, "--src-tls-verify=false", target, f"oci-archive:{back}:it")
    assert raw(f"oci-archive:{archive}") == raw(layout) == raw(target) == raw(f"oci-archive:{back}")
    await import_archive(there, back)
    arrived(there, snapshot)


def test_the_commands_take_files_and_pipes(
    archive: Path, firkin: Command, elsewhere: Home, there: Settings, snapshot: Snapshot, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [*FIRKIN, "snapshot", "export", "-q", "frozen"], env=firkin.environ, capture_output=True, check=True
    )
    assert ended.stdout == archive.read_bytes()
    other = Command(FIRKIN, elsewhere.environ(), elsewhere.work_dir)
    piped = subprocess.run(
        [*FIRKIN, "snapshot", "import", "-"], env=other.environ, input=ended.stdout, capture_output=True
    )
    assert (piped.stdout, piped.returncode) == (b"frozen\n", 0)
    assert b"unpacking snapshot frozen" in piped.stderr
    assert other("snapshot", "import", str(archive), "twin", check=True).stdout == "twin\n"
    arrived(there, snapshot, "twin")
    missing = other("snapshot", "import", str(tmp_path / "missing"))
    assert (missing.status, "cannot read" in missing.stderr) == (125, True)


def test_python_moves_snapshots_with_the_same_words(
    settings: Settings, snapshot: Snapshot, there: Settings, registry: Registry, tmp_path: Path
) -> None:
    target, path = registry.reference("moved/python"), tmp_path / "frozen.tar"
    with firkin.Engine(settings) as engine:
        engine.snapshot("frozen").export(path)
        pushed = engine.push("frozen", target)
    assert pushed.digest == str(Digest.of(raw(f"docker://{target}")))
    with firkin.Engine(there) as engine:
        taken = engine.import_snapshot(path, "twin")
        assert [each.name for each in engine.snapshots()] == [taken.name] == ["twin"]
    arrived(there, snapshot, "twin")


async def test_an_export_that_fails_leaves_the_old_file(
    archive: Path, settings: Settings, snapshot: Snapshot
) -> None:
    before = archive.read_bytes()
    settings.paths.layer_path(snapshot.layers[1]).unlink()
    with pytest.raises(Corrupt, match="is missing"):
        await export(settings, "frozen", archive)
    assert archive.read_bytes() == before
    assert os.listdir(archive.parent) == [archive.name]


async def test_a_file_that_is_being_written_has_no_name_that_a_crash_could_leave(
    settings: Settings, snapshot: Snapshot, tmp_path: Path
) -> None:
    seen: list[list[str]] = []

    def look(event: Event) -> None:
        if event.name == "snapshot.written":
            seen.append(os.listdir(tmp_path))

    with subscribed(look):
        await export(settings, "frozen", tmp_path / "frozen.tar")
    assert len(seen) > 8
    assert not any(seen)
    assert os.listdir(tmp_path) == ["frozen.tar"]


def test_a_reader_that_went_away_ends_an_export_quietly(
    settings: Settings, snapshot: Snapshot, firkin: Command
) -> None:
    ended = subprocess.run(
        ["sh", "-c", '"$0" snapshot export -q frozen | head -c 100 | wc -c', *FIRKIN],
        env=firkin.environ,
        capture_output=True,
        text=True,
    )
    assert (ended.stdout.strip(), ended.stderr) == ("100", "")


# --- archives that somebody altered -----------------------------------------------------------------------


def rewritten(archive: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> io.BytesIO:
    """The archive with its files changed, in the same order."""
    out = io.BytesIO()
    with tarfile.open(archive) as tar, tarfile.open(fileobj=out, mode="w") as other:
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            if (changed := change(member.name, content.read())) is not None:
                info = tarfile.TarInfo(changed[0])
                info.size = len(changed[1])
                other.addfile(info, io.BytesIO(changed[1]))
    out.seek(0)
    return out


async def refused(there: Settings, source: io.BytesIO | Path, error: type[FirkinError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        await import_archive(there, source)
    assert caught.value.hint
    nothing_there(there)


async def test_a_bit_that_flipped_in_any_blob_is_found(archive: Path, there: Settings) -> None:
    with tarfile.open(archive) as tar:
        blobs = [name for name in tar.getnames() if name.startswith("blobs/")]
    assert len(blobs) > 8
    for blob in blobs:

        def flip(name: str, content: bytes, blob: str = blob) -> tuple[str, bytes]:
            return name, bytes([content[0] ^ 1]) + content[1:] if name == blob else content

        await refused(there, rewritten(archive, flip), DigestMismatch, "has the digest")


async def test_an_archive_that_was_cut_short_is_refused(archive: Path, there: Settings) -> None:
    whole = archive.read_bytes()
    for size in (len(whole) // 2, len(whole) // 3 * 2 + 1, 1500, 512):
        await refused(there, io.BytesIO(whole[:size]), Corrupt, "ends in the middle|no index|names no|is not")


async def test_an_archive_without_one_of_its_blobs_is_refused(archive: Path, there: Settings) -> None:
    with tarfile.open(archive) as tar:
        last = tar.getnames()[-1]
    left_out = rewritten(archive, lambda name, content: None if name == last else (name, content))
    with pytest.raises(FirkinError, match=f"blob sha256:{last[-64:]} is not in the store"):
        await import_archive(there, left_out)
    nothing_there(there)


async def test_what_is_no_archive_of_a_snapshot_is_refused(
    archive: Path, there: Settings, settings: Settings, tmp_path: Path
) -> None:
    await refused(there, io.BytesIO(b""), Corrupt, "is not an OCI archive")
    await refused(there, io.BytesIO(os.urandom(4096)), Corrupt, "cannot be read: a tar")
    await refused(there, io.BytesIO(tar_of({"etc/passwd": b"x"})), Corrupt, "is not an OCI archive")
    two = rewritten(
        archive,
        lambda name, content: (
            name,
            json.dumps({"schemaVersion": 2, "manifests": json.loads(content)["manifests"] * 2}).encode()
            if name == "index.json"
            else content,
        ),
    )
    await refused(there, two, Corrupt, "more than one thing in it")
    long = tar_of({"index.json": b" " * (5 << 20)})
    await refused(there, io.BytesIO(long), Corrupt, "has more than 4194304 bytes")
    linked = tar_of({f"blobs/sha256/{'0' * 64}": "-> /etc/passwd"})
    await refused(there, io.BytesIO(linked), Corrupt, "is no plain file")


async def test_an_image_s_archive_is_refused_as_one(
    registry: Registry, settings: Settings, there: Settings, tmp_path: Path
) -> None:
    rootfs = tmp_path / "root.tar"
    rootfs.write_bytes(tar_of({"file": b"x"}))
    target = registry.reference("moved/image")
    await LocalImages(settings).import_archive(rootfs, target)
    await push(settings, target)
    archive = tmp_path / "image.tar"
    tool("skopeo", "copy", "--src-tls-verify=false", f"docker://{target}", f"oci-archive:{archive}")
    await refused(there, archive, UnsupportedMediaType, "is not a snapshot")


async def test_an_import_that_is_killed_lists_nothing_half_made(archive: Path, there: Settings) -> None:
    store = Store(there.paths)
    with archive.open("rb") as file:
        manifest = read_archive(iter(partial(file.read, MIB), b""), store, "it")
    line, step = 1, 61
    while not survives(line, lambda: unpack(there.paths, Store(there.paths), manifest)):
        assert record.snapshots(there.paths) == []
        line, step = line + step, step + 23
    assert line > 1000
    (found,) = record.snapshots(there.paths)
    assert (there.paths.snapshot_dir(found.id) / "memory").read_bytes() == MEMORY


# --- registries -------------------------------------------------------------------------------------------


async def test_a_snapshot_is_pushed_and_pulled_like_an_image(
    registry: Registry,
    settings: Settings,
    snapshot: Snapshot,
    firkin: Command,
    elsewhere: Home,
    there: Settings,
) -> None:
    target = registry.reference("moved/snapshot", "v1")
    ended = firkin("push", "frozen", target, check=True)
    content = raw(f"docker://{target}")
    assert ended.stdout == f"v1: digest: {Digest.of(content)} size: {len(content)}\n"
    assert "packing snapshot frozen" in ended.stderr
    other = Command(FIRKIN, elsewhere.environ(), elsewhere.work_dir)
    assert other("pull", target, check=True).stdout == "frozen\n"
    arrived(there, snapshot)
    taken = other("pull", target)
    assert (taken.status, "'frozen' is in use" in taken.stderr) == (125, True)
    assert other("pull", "--name", "twin", target, check=True).stdout == "twin\n"
    arrived(there, snapshot, "twin")


async def test_of_a_snapshot_that_was_pushed_before_only_the_new_parts_are_sent(
    registry: Registry, settings: Settings, snapshot: Snapshot
) -> None:
    target = registry.reference("moved/again")
    first = await push(settings, "frozen", target)
    assert await push(settings, "frozen", target) == first
    changed = MEMORY[: 17 * MIB] + b"new" + MEMORY[17 * MIB + 3 :]
    await make_snapshot(settings, "later", memory=changed)
    old = {layer["digest"] for layer in json.loads(raw(f"docker://{target}"))["layers"]}
    await push(settings, "later", target)
    new = {layer["digest"] for layer in json.loads(raw(f"docker://{target}"))["layers"]}
    assert len(new - old) == 1


async def test_a_snapshot_is_no_image_to_run_and_has_no_place_of_its_own(
    registry: Registry, settings: Settings, snapshot: Snapshot, there: Settings
) -> None:
    target = registry.reference("moved/not-run")
    await push(settings, "frozen", target)
    with pytest.raises(UnsupportedMediaType, match="is a snapshot, not an image") as caught:
        await LocalImages(there).pull(target)
    assert "firkin snapshot restore" in caught.value.hint
    with pytest.raises(UsageError, match="snapshot frozen has no place yet"):
        await push(settings, "frozen")


# --- policies ---------------------------------------------------------------------------------------------


async def test_an_import_obeys_the_policy_before_anything_is_read(
    archive: Path, there: Settings, snapshot: Snapshot, tmp_path: Path
) -> None:
    path = tmp_path / "policy.json"
    strict = structs.replace(there, policy=str(path))
    reject, accept = [{"type": "reject"}], [{"type": "insecureAcceptAnything"}]
    path.write_text(json.dumps({"default": reject}))
    with pytest.raises(Untrusted, match=f"archive {archive} is refused by the policy"):
        await import_archive(strict, archive)
    nothing_there(there)
    scopes = {str(archive.parent): accept}
    path.write_text(json.dumps({"default": reject, "transports": {"oci-archive": scopes}}))
    with archive.open("rb") as stream, pytest.raises(Untrusted, match="standard input is refused"):
        await import_archive(strict, stream)
    await import_archive(strict, archive)
    arrived(there, snapshot)


async def test_a_pull_takes_a_snapshot_only_with_the_signature_that_the_policy_wants(
    registry: Registry, settings: Settings, snapshot: Snapshot, there: Settings, tmp_path: Path
) -> None:
    pair = key_pair(tmp_path)
    path = tmp_path / "policy.json"
    policy(path, pair.requirement())
    strict = LocalImages(structs.replace(there, policy=str(path)))
    target = registry.reference("moved/signed")
    await push(settings, "frozen", target)
    with pytest.raises(Untrusted, match="has no sigstore signature"):
        await strict.pull_any(target)
    nothing_there(there)
    key = load_private_key(pair.private_path, lambda: b"")
    await push(settings, "frozen", target, key=key)
    await strict.pull_any(target)
    arrived(there, snapshot)
