"""Pushes to a real registry, read back by skopeo, podman and our own pull."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from firkin.engine.image_push import Pushed, push
from firkin.engine.images import Images as LocalImages
from firkin.errors import (
    AuthenticationFailed,
    DigestMismatch,
    ImageNotFound,
    ReferenceSyntaxError,
    RegistryUnreachable,
    UsageError,
)
from firkin.events import Event, subscribed
from firkin.oci.digest import Digest
from firkin.oci.platform import Platform
from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.pytest.registry import Registry, running_registry
from firkin.settings import Settings
from tests.support.images import Flavour, Images, busybox_tar, tar_of

ONE, TWO = tar_of({"one": b"1" * 100_000}), tar_of({"two": b"2", "link": "-> one"})
FOREIGN = "linux/s390x"


@pytest.fixture
def local(settings: Settings) -> LocalImages:
    return LocalImages(settings)


def tool(*command: str) -> bytes:
    """What somebody else's program says, which must succeed."""
    ended = subprocess.run(command, capture_output=True, timeout=120)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout


def seen_at(reference: str) -> bytes:
    """The manifest or index of `reference` as skopeo gets it from the registry."""
    return tool("skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{reference}")


async def sent(
    settings: Settings, local: LocalImages, name: str, target: str = ""
) -> tuple[Pushed, Counter[str]]:
    """Push, and count the events."""
    counts: Counter[str] = Counter()

    def count(event: Event) -> None:
        if event.phase == "point":
            counts[event.name] += 1

    with subscribed(count):
        return await push(settings, local.store, name, target), counts


@pytest.mark.parametrize("flavour", ["oci", "docker"])
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
async def test_an_image_of_every_format_arrives_unchanged(
    images: Images,
    registry: Registry,
    local: LocalImages,
    settings: Settings,
    flavour: Flavour,
    compression: str,
) -> None:
    name = f"push/{flavour}-{compression}"
    theirs = images.push(f"{name}-from", [ONE, TWO], flavour=flavour, compression=compression, cmd=("sh",))
    await local.pull(theirs.reference)
    target = registry.reference(f"{name}-to", "1.0")
    pushed, _ = await sent(settings, local, theirs.reference, target)
    assert pushed == Pushed(target, str(theirs.descriptor.digest), theirs.descriptor.size_bytes)
    assert Digest.of(seen_at(target)) == theirs.descriptor.digest


async def test_skopeo_and_umoci_unpack_what_was_pushed(
    registry: Registry, local: LocalImages, settings: Settings, tmp_path: Path
) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(busybox_tar())
    target = registry.reference("push/judged")
    await local.import_archive(archive, target, changes=['CMD ["sh", "-l"]'])
    await sent(settings, local, target)
    layout = f"{tmp_path}/layout:it"
    tool("skopeo", "copy", "--src-tls-verify=false", f"docker://{target}", f"oci:{layout}")
    seen = json.loads(tool("skopeo", "inspect", "--config", f"oci:{layout}"))
    assert seen["config"]["Cmd"] == ["sh", "-l"]
    tool("umoci", "unpack", "--rootless", "--image", layout, str(tmp_path / "bundle"))
    assert (tmp_path / "bundle/rootfs/bin/busybox").stat().st_size > 100_000


@pytest.mark.slow
async def test_podman_pulls_what_was_pushed(
    registry: Registry, local: LocalImages, settings: Settings, home: Home, tmp_path: Path
) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(busybox_tar())
    target = registry.reference("push/podman")
    image = await local.import_archive(archive, target, changes=['CMD ["sh"]'])
    await sent(settings, local, target)
    places = ["--root", f"{tmp_path}/root", "--runroot", str(home.root / "podman")]
    podman = ["podman", *places, "--storage-driver", "vfs"]
    pulled = tool(*podman, "pull", "-q", "--tls-verify=false", target)
    assert pulled.decode().strip() == image.config_digest.hex


async def test_what_the_registry_has_is_not_sent_again(
    registry: Registry, local: LocalImages, settings: Settings, tmp_path: Path
) -> None:
    target = registry.reference("push/again")
    await local.import_archive(archive_of(tmp_path, b"again"), target)
    _, counts = await sent(settings, local, target)
    assert (counts["layer.sent"], counts["config.sent"]) == (1, 1)
    _, counts = await sent(settings, local, target)
    assert counts == {"layer.present": 1, "config.present": 1}


async def test_a_blob_is_taken_from_another_repository_of_the_registry(
    registry: Registry, local: LocalImages, settings: Settings, tmp_path: Path
) -> None:
    first, second = registry.reference("push/source"), registry.reference("push/mounted")
    await local.import_archive(archive_of(tmp_path, b"mounted"), first)
    await sent(settings, local, first)
    _, counts = await sent(settings, local, first, second)
    assert counts == {"layer.mounted": 1, "config.mounted": 1}
    assert seen_at(first) == seen_at(second)


async def test_a_name_that_was_never_pushed_is_no_source(
    registry: Registry, local: LocalImages, settings: Settings, tmp_path: Path
) -> None:
    target = registry.reference("push/no-source")
    await local.import_archive(archive_of(tmp_path, b"no source"), target)
    local.tag(target, registry.reference("never/pushed"))
    _, counts = await sent(settings, local, target)
    assert (counts["layer.sent"], counts["config.sent"]) == (1, 1)


async def test_two_pushes_at_once_both_arrive(
    registry: Registry, local: LocalImages, settings: Settings, tmp_path: Path
) -> None:
    await local.import_archive(archive_of(tmp_path, b"at once"), "mine:1")
    targets = [registry.reference("push/at-once", tag) for tag in "abc"]
    await asyncio.gather(*(sent(settings, local, "mine:1", target) for target in targets))
    assert len({seen_at(target) for target in targets}) == 1


async def test_a_push_gets_over_a_connection_that_broke(
    registry: Registry, local: LocalImages, settings: Settings, tmp_path: Path
) -> None:
    """This registry (2.8) drops an upload whose connection broke, so the blob is sent anew; for those that
    keep what came, see tests/fault/test_push_faults.py.
    """
    archive = tmp_path / "root.tar"
    archive.write_bytes(tar_of({"noise": random.Random(4).randbytes(8 << 20)}))
    image = await local.import_archive(archive, "mine:1")
    async with breaking_proxy(registry.host, after_bytes=3 << 20) as host:
        _, counts = await sent(settings, local, "mine:1", f"{host}/push/broken")
    assert (counts["layer.resumed"], counts["layer.sent"]) == (1, 1)
    target = registry.reference("push/broken")
    assert Digest.of(seen_at(target)) == image.digest
    tool("skopeo", "copy", "--src-tls-verify=false", f"docker://{target}", f"dir:{tmp_path}/copy")


@asynccontextmanager
async def breaking_proxy(host: str, after_bytes: int) -> AsyncIterator[str]:
    """A way to `host` that breaks once, when so much went through it on one connection."""
    whole = [True]
    served: list[asyncio.Future[tuple[None, None]]] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit_bytes: int) -> None:
        passed = 0
        with suppress(OSError):
            while chunk := await reader.read(65536):
                passed += len(chunk)
                if whole[0] and passed > limit_bytes:
                    whole[0] = False
                    break
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_connection(*host.split(":"))
        served.append(asyncio.gather(copy(upstream, writer, 1 << 60), copy(reader, downstream, after_bytes)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*served)


# --- indexes ----------------------------------------------------------------------------------------------


async def test_an_index_that_is_here_whole_is_pushed_whole(
    images: Images, registry: Registry, local: LocalImages, settings: Settings
) -> None:
    ours = images.push("push/multi", [ONE], tag="ours")
    theirs = images.push("push/multi", [TWO], tag="theirs", platform=FOREIGN)
    index = images.push_index("push/multi", [ours, theirs])
    await local.pull(index.reference)
    await local.pull(index.reference, platform=FOREIGN)
    target = registry.reference("push/multi-copy")
    pushed, counts = await sent(settings, local, index.reference, target)
    assert (pushed.digest, counts["push.partial"]) == (str(index.descriptor.digest), 0)
    copied = json.loads(seen_at(target))
    assert [entry["digest"] for entry in copied["manifests"]] == [
        str(ours.descriptor.digest),
        str(theirs.descriptor.digest),
    ]
    tool("skopeo", "--override-arch=s390x", "inspect", "--tls-verify=false", f"docker://{target}")


async def test_of_an_index_that_is_here_in_part_the_image_that_is_here_is_pushed(
    images: Images, registry: Registry, local: LocalImages, settings: Settings, firkin: Command
) -> None:
    ours = images.push("push/part", [ONE], tag="ours")
    theirs = images.push("push/part", [TWO], tag="theirs", platform=FOREIGN)
    index = images.push_index("push/part", [ours, theirs])
    await local.pull(index.reference)
    target = registry.reference("push/part-copy")
    ended = firkin("push", index.reference, target)
    assert f"pushing one platform's image only: {FOREIGN} not here" in ended.stderr
    assert Digest.of(seen_at(target)) == ours.descriptor.digest
    await local.pull(index.reference, platform=FOREIGN)
    firkin("push", "--platform", FOREIGN, index.reference, target)
    assert Digest.of(seen_at(target)) == theirs.descriptor.digest
    assert Platform.parse(FOREIGN).best([ours.config.platform]) is None


# --- who may, and what may not be -------------------------------------------------------------------------


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Registry]:
    (tmp_path / "registry").mkdir()
    with running_registry(tmp_path / "registry", login=("me", "secret"), tls=True) as registry:
        yield registry


async def test_a_private_registry_takes_what_who_is_logged_in_pushes(
    private: Registry, local: LocalImages, settings: Settings, tmp_path: Path
) -> None:
    target = private.reference("team/mine")
    await local.import_archive(archive_of(tmp_path, b"private"), target)
    with pytest.raises(AuthenticationFailed, match=f"{private.host} wants a user and a password") as caught:
        await sent(settings, local, target)
    assert f"podman login {private.host}" in caught.value.hint
    auth_path = Path(settings.auth_files[0])
    auth_path.parent.mkdir(parents=True, exist_ok=True)
    login = ["--tls-verify=false", "--authfile", str(auth_path), "-u", "me", "-p", "secret"]
    tool("skopeo", "login", *login, private.host)
    await sent(settings, local, target)
    options = ["--tls-verify=false", "--creds", "me:secret"]
    assert tool("skopeo", "inspect", *options, "--raw", f"docker://{target}")


async def test_a_layer_that_rotted_here_is_refused_there_and_named(
    registry: Registry, local: LocalImages, settings: Settings, tmp_path: Path
) -> None:
    target = registry.reference("push/rot")
    image = await local.import_archive(archive_of(tmp_path, b"rotting"), target)
    path = local.store.blob_path(image.layers[0].digest)
    path.chmod(0o600)
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(DigestMismatch, match=f"blob {image.layers[0].digest} in the store has changed"):
        await sent(settings, local, target)
    path.write_bytes(b"\0")
    with pytest.raises(DigestMismatch, match="has 1 bytes, not"):
        await sent(settings, local, target)
    with pytest.raises(ImageNotFound):
        await local.pull(target, policy="always")


async def test_what_is_not_here_whole_is_not_pushed_at_all(
    registry: Registry, local: LocalImages, settings: Settings, tmp_path: Path
) -> None:
    target = registry.reference("push/half")
    image = await local.import_archive(archive_of(tmp_path, b"half"), target)
    local.store.blob_path(image.layers[0].digest).unlink()
    with pytest.raises(ImageNotFound, match=f"{image.layers[0].digest} is missing"):
        await sent(settings, local, target)


async def test_where_to_is_checked_before_anything_is_sent(
    registry: Registry, local: LocalImages, settings: Settings, tmp_path: Path
) -> None:
    image = await local.import_archive(archive_of(tmp_path, b"where"), "mine:1")
    digest = image.config_digest
    with pytest.raises(UsageError, match="is an id, and says no place"):
        await sent(settings, local, str(digest))
    with pytest.raises(UsageError, match="a digest is no tag"):
        await sent(settings, local, "mine:1", f"{registry.host}/x@{digest}")
    with pytest.raises(ReferenceSyntaxError):
        await sent(settings, local, "mine:1", "Not A Name")
    with pytest.raises(ImageNotFound, match="image nobody/knows is not here"):
        await sent(settings, local, "nobody/knows", f"{registry.host}/x")
    with pytest.raises(RegistryUnreachable, match="connection refused"):
        await sent(settings, local, "mine:1", "127.0.0.1:1/x")


# --- signatures -------------------------------------------------------------------------------------------


def test_a_signature_stands_beside_the_image_and_openssl_verifies_it(
    registry: Registry, firkin: Command, tmp_path: Path
) -> None:
    key, public, secret = tmp_path / "key.pem", tmp_path / "public.pem", tmp_path / "secret"
    secret.write_text("open sesame\n")
    curve = ["-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-pass", f"file:{secret}"]
    tool("openssl", "genpkey", "-algorithm", "EC", *curve, "-out", str(key))
    tool("openssl", "pkey", "-in", str(key), "-passin", f"file:{secret}", "-pubout", "-out", str(public))
    firkin("import", str(archive_of(tmp_path, b"signed")), "mine:1", check=True)
    target = registry.reference("push/signed", "v1")
    signing = ["--sign-by-sigstore-private-key", str(key)]
    ended = firkin("push", *signing, "mine:1", target)
    assert (ended.status, "has a passphrase" in ended.stderr) == (125, True)
    for _ in range(2):  # signing twice adds nothing
        firkin("push", *signing, "--sign-passphrase-file", str(secret), "mine:1", target, check=True)
    digest = Digest.of(seen_at(target))
    where = registry.reference("push/signed", f"sha256-{digest.hex}.sig")
    (layer,) = json.loads(seen_at(where))["layers"]
    tool("skopeo", "copy", "--src-tls-verify=false", f"docker://{where}", f"dir:{tmp_path}/copy")
    payload = tmp_path / "copy" / layer["digest"].partition(":")[2]
    (tmp_path / "signature").write_bytes(
        base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"])
    )
    verify = ["-verify", str(public), "-signature", f"{tmp_path}/signature", str(payload)]
    tool("openssl", "dgst", "-sha256", *verify)
    claim = json.loads(payload.read_bytes())["critical"]
    assert claim["image"]["docker-manifest-digest"] == str(digest)
    assert claim["identity"]["docker-reference"] == target


# --- the command, and its memory --------------------------------------------------------------------------


def test_the_command_says_tag_digest_and_size(registry: Registry, firkin: Command, tmp_path: Path) -> None:
    firkin("import", str(archive_of(tmp_path, b"command")), "mine:1")
    target = registry.reference("push/command", "v1")
    ended = firkin("push", "mine:1", f"docker://{target}")
    content = seen_at(target)
    assert ended.stdout == f"v1: digest: {Digest.of(content)} size: {len(content)}\n"
    assert f"firkin: pushing {target}" in ended.stderr
    quiet = firkin("push", "-q", "mine:1", target)
    assert (quiet.stdout, quiet.stderr) == (f"{target}\n", "")


_PUSH_BIG = """
import asyncio, re, sys
from firkin.engine.image_push import push
from firkin.settings import Settings
from firkin.store.store import Store
settings = Settings.load()
asyncio.run(push(settings, Store(settings.paths), "mine:1", sys.argv[1]))
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
"""


async def test_memory_stays_flat_however_big_the_layer_is(
    registry: Registry, local: LocalImages, settings: Settings, tmp_path: Path
) -> None:
    peaks_kib = []
    for size in (1 << 20, 256 << 20):
        archive = tmp_path / "big.tar"
        archive.write_bytes(tar_of({"big": bytes(size)}))
        await local.import_archive(archive, "mine:1")
        program = [sys.executable, "-c", _PUSH_BIG, registry.reference("push/big", str(size))]
        peaks_kib.append(int(tool(*program)))
    assert peaks_kib[1] - peaks_kib[0] < 16 << 10, peaks_kib


def archive_of(directory: Path, content: bytes) -> Path:
    path = directory / "root.tar"
    path.write_bytes(tar_of({"file": content * 1000}))
    return path
