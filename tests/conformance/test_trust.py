"""Policies and signatures at a real registry. skopeo judges what a policy accepts, openssl makes signatures.

Where skopeo can sign with sigstore (Debian 13's can, Debian 12's has it compiled out), it judges the
signatures too, in both directions.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from firkin.engine.images import Images as LocalImages
from firkin.engine.trusting import check_archive
from firkin.errors import FirkinError, RegistryError, Untrusted, UsageError
from firkin.events import Event, subscribed
from firkin.oci.digest import Digest
from firkin.oci.manifest import Index
from firkin.oci.reference import Reference
from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.pytest.registry import Registry
from firkin.settings import Settings
from firkin.trust.attachments import Artifact
from firkin.trust.sign import load_private_key, sign
from firkin.trust.subject import Subject
from tests.support.bad_registry import BadRegistry, bad_registry, blob, document
from tests.support.images import Images, Pushed, tar_of
from tests.support.signing import ANNOTATION, KeyPair, attach, key_pair, openssl, payload, policy, signed

ONE, TWO = tar_of({"one": b"1"}), tar_of({"two": b"2"})
FOREIGN = "linux/s390x"
ACCEPT, REJECT = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]
SIGNED_BY = [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/dev/null"}]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return key_pair(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return key_pair(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def policy_path(tmp_path: Path) -> Path:
    return tmp_path / "policy.json"


@pytest.fixture
def local(settings: Settings, policy_path: Path) -> LocalImages:
    """A store whose policy is the file at `policy_path`."""
    return LocalImages(structs.replace(settings, policy=str(policy_path)))


def nothing_is_kept(local: LocalImages, settings: Settings) -> bool:
    blobs, partials = settings.paths.blobs_dir, settings.paths.ingest_dir
    return not local.summaries() and not any(
        directory.exists() and os.listdir(directory) for directory in (blobs, partials)
    )


# --- skopeo's verdicts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Skopeo:
    """`skopeo copy` as a judge: does it take this source under this policy, and if not, is it the file?"""

    directory: Path

    def verdict(self, policy_path: Path, source: str) -> str:
        words = ["--policy", str(policy_path), "copy", "--src-tls-verify=false"]
        ended = self(*words, source, f"dir:{self.directory}/copy")
        if ended.returncode == 0:
            return "accepted"
        return "bad file" if "invalid policy" in ended.stderr.lower() else "refused"

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One run, which looks for sigstore signatures at every registry."""
        places = self.directory / "registries.d"
        places.mkdir(exist_ok=True)
        (places / "all.yaml").write_text("default-docker: {use-sigstore-attachments: true}")
        command = ["skopeo", "--registries.d", str(places), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def skopeo(tmp_path: Path) -> Skopeo:
    return Skopeo(tmp_path)


async def our_verdict(local: LocalImages, reference: str) -> str:
    try:
        await local.pull(reference, policy="always")
    except Untrusted:
        return "refused"
    except UsageError:
        return "bad file"
    return "accepted"


@pytest.mark.parametrize("default", [ACCEPT, REJECT], ids=["accepting", "rejecting"])
@pytest.mark.parametrize(
    "scope",
    [
        "HOST/ns/deep/judged:latest",
        "HOST/ns/deep/judged:other",
        "HOST/ns/deep/judged",
        "HOST/ns/deep",
        "HOST/ns",
        "HOST/ns/",
        "HOST/n",
        "HOST",
        "127.0.0.1",
        "*.0.0.1",
        "*.0.0.1:PORT",
        "*.0.1",
        "*.1",
        "*",
        "ns/deep/judged",
        "docker.io",
        "",
    ],
)
async def test_a_scope_counts_for_us_where_it_counts_for_skopeo(
    images: Images, local: LocalImages, policy_path: Path, skopeo: Skopeo, scope: str, default: Any
) -> None:
    pushed = images.push("ns/deep/judged", [ONE])
    host = images.registry.host
    scope = scope.replace("HOST", host).replace("PORT", host.rpartition(":")[2])
    opposite = REJECT if default is ACCEPT else ACCEPT
    policy(policy_path, *default, scopes={scope: opposite, "unrelated.example": default})
    theirs = skopeo.verdict(policy_path, f"docker://{pushed.reference}")
    assert await our_verdict(local, pushed.reference) == theirs


@pytest.mark.parametrize("scope", ["HOST/judged", "HOST/judged@DIGEST", "HOST/judged:latest"])
async def test_an_image_that_is_asked_for_by_digest_has_the_scopes_that_skopeo_gives_it(
    images: Images, local: LocalImages, policy_path: Path, skopeo: Skopeo, scope: str
) -> None:
    pushed = images.push("judged", [ONE])
    scope = scope.replace("HOST", images.registry.host).replace("DIGEST", str(pushed.descriptor.digest))
    policy(policy_path, *REJECT, scopes={scope: ACCEPT})
    theirs = skopeo.verdict(policy_path, f"docker://{pushed.pinned}")
    assert await our_verdict(local, pushed.pinned) == theirs


@pytest.mark.parametrize(
    "content",
    [
        {"default": ACCEPT},
        {"default": REJECT},
        {"default": [*ACCEPT, *REJECT]},
        {"default": [*ACCEPT, *ACCEPT]},
        {"default": SIGNED_BY},
        {"default": [*ACCEPT, *SIGNED_BY]},
        {"default": ACCEPT, "transports": {}},
        {"default": ACCEPT, "transports": {"docker": {}}},
        {"default": ACCEPT, "transports": {"docker": {"": REJECT}}},
        {"default": REJECT, "transports": {"dir": {"": ACCEPT}}},
        {"default": REJECT, "transports": {"dir": {"/": ACCEPT}}},
        {"default": ACCEPT, "transports": {"dir": {"relative": ACCEPT}}},
        {"default": ACCEPT, "transports": {"dir": {"/a/../b": ACCEPT}}},
        {"default": ACCEPT, "transports": {"oci-archive": {"/a/": ACCEPT}}},
        {"default": ACCEPT, "transports": {"docker-archive": {"/a": ACCEPT}}},
        {"default": ACCEPT, "transports": {"docker-archive": {"": REJECT}}},
        {"default": ACCEPT, "transports": {"tarball": {"/a": ACCEPT}}},
        {"default": ACCEPT, "transports": {"of-tomorrow": {"anything": ACCEPT}}},
        {},
        {"default": []},
        {"default": None},
        {"default": ACCEPT, "transport": {}},
        {"default": ACCEPT, "transports": None},
        {"default": ACCEPT, "transports": {"docker": None}},
        {"default": ACCEPT, "transports": {"docker": {"a.b": []}}},
        {"default": ACCEPT, "transports": {"docker": {"a.b": [{"type": "unheard of"}]}}},
        {"default": [{"type": "reject", "extra": 1}]},
        {"default": [{"type": "signedBy", "keyType": "GPGKeys"}]},
        {"default": [{"type": "signedBy", "keyType": "other", "keyPath": "/k"}]},
        {"default": [SIGNED_BY[0] | {"keyData": "aGk="}]},
        {"default": [SIGNED_BY[0] | {"signedIdentity": {"type": "matchExact", "x": 1}}]},
        {"default": [SIGNED_BY[0] | {"signedIdentity": {"type": "exactReference"}}]},
        {
            "default": [
                SIGNED_BY[0] | {"signedIdentity": {"type": "exactRepository", "dockerRepository": "A"}}
            ]
        },
        {"default": [{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}]},
        {"default": [{"type": "signedBaseLayer"}]},
        '{"default": [{"type": "reject"}], "default": [{"type": "insecureAcceptAnything"}]}',
        '{"default": [{"type": "reject", "type": "insecureAcceptAnything"}]}',
        '{"default": [{"type": "insecureAcceptAnything"}], "transports": {"docker": {"a": '
        '[{"type": "reject"}], "a": [{"type": "reject"}]}}}',
        '{"default": [{"type": "insecureAcceptAnything"}]} trailing',
        "",
    ],
    ids=lambda content: content if isinstance(content, str) else json.dumps(content),
)
async def test_a_file_means_to_us_what_it_means_to_skopeo(
    images: Images, local: LocalImages, policy_path: Path, skopeo: Skopeo, content: Any
) -> None:
    pushed = images.push("judged", [ONE])
    policy_path.write_text(content if isinstance(content, str) else json.dumps(content))
    theirs = skopeo.verdict(policy_path, f"docker://{pushed.reference}")
    assert await our_verdict(local, pushed.reference) == theirs


@pytest.mark.parametrize("transport", ["oci-archive", "tarball", "docker-archive"])
@pytest.mark.parametrize("scope", ["", "FILE", "DIRECTORY", "LINK", "/nowhere"])
def test_a_file_is_judged_as_skopeo_judges_it(
    images: Images,
    settings: Settings,
    policy_path: Path,
    skopeo: Skopeo,
    scope: str,
    transport: str,
    tmp_path: Path,
) -> None:
    real = tmp_path.resolve() / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    archive = tmp_path / "link" / "x.tar"
    if transport == "tarball":
        archive.write_bytes(ONE)
    else:
        source = f"docker://{images.push('judged', [ONE]).reference}"
        command = ["skopeo", "copy", "--src-tls-verify=false", source, f"oci-archive:{archive}"]
        subprocess.run(command, check=True, capture_output=True)
    places = {"FILE": str(real / "x.tar"), "DIRECTORY": str(real), "LINK": str(archive)}
    mine = "tarball" if transport == "tarball" else "oci-archive"
    scopes = {transport: {places.get(scope, scope): ACCEPT}}
    policy_path.write_text(json.dumps({"default": REJECT, "transports": scopes}))
    subject = Subject.of_tarball(str(archive)) if mine == "tarball" else Subject.of_oci_archive(archive)
    theirs = skopeo.verdict(policy_path, f"{mine}:{archive}")
    try:
        check_archive(structs.replace(settings, policy=str(policy_path)), subject)
        ours = "accepted"
    except Untrusted:
        ours = "refused"
    except UsageError:
        ours = "bad file"
    assert ours == theirs


# --- signatures at a registry -----------------------------------------------------------------------------


def sign_by_hand(images: Images, pushed: Pushed, *keys: KeyPair, identity: str = "") -> None:
    """What `cosign sign --key` puts there, made by openssl."""
    content = payload(pushed.descriptor.digest, identity or pushed.reference)
    repository = Reference.parse(pushed.reference).repository
    attach(images.registry, repository, pushed.descriptor.digest, *(signed(key, content) for key in keys))


async def test_a_signed_image_is_pulled_and_an_unsigned_one_leaves_nothing(
    images: Images, local: LocalImages, settings: Settings, policy_path: Path, key: KeyPair
) -> None:
    policy(policy_path, key.requirement())
    good, bad = images.push("trust/signed", [ONE]), images.push("trust/unsigned", [TWO])
    sign_by_hand(images, good, key)
    with pytest.raises(
        Untrusted, match=f"trust/unsigned:latest is refused by the policy {policy_path}"
    ) as caught:
        await local.pull(bad.reference)
    assert f"no sigstore signature (of {bad.descriptor.digest})" in str(caught.value)
    assert nothing_is_kept(local, settings)
    events: list[Event] = []
    with subscribed(events.append):
        assert (await local.pull(good.reference)).digest == good.descriptor.digest
    accepted = [event.fields for event in events if event.name == "policy.accepted"]
    assert accepted == [{"what": f"image {good.reference}", "digest": str(good.descriptor.digest)}]
    assert {str(each.digest) for each in local.summaries()} == {str(good.descriptor.digest)}


async def test_a_signature_of_somebody_else_does_not_help_and_does_not_harm(
    images: Images, local: LocalImages, settings: Settings, policy_path: Path, key: KeyPair, stranger: KeyPair
) -> None:
    policy(policy_path, key.requirement())
    pushed = images.push("trust/others", [ONE])
    sign_by_hand(images, pushed, stranger)
    with pytest.raises(Untrusted, match="not made by a key of the policy"):
        await local.pull(pushed.reference)
    assert nothing_is_kept(local, settings)
    sign_by_hand(images, pushed, stranger, key, stranger)
    assert await local.pull(pushed.reference)


async def test_a_signature_is_worth_nothing_for_another_tag_repository_or_image(
    images: Images, local: LocalImages, settings: Settings, policy_path: Path, key: KeyPair
) -> None:
    policy(policy_path, key.requirement())
    host = images.registry.host
    pushed = images.push("trust/moved", [ONE])
    for identity in (f"{host}/trust/moved:old", f"{host}/trust/other:latest", f"{host}/trust/moved"):
        sign_by_hand(images, pushed, key, identity=identity)
        with pytest.raises(Untrusted, match="which matchRepoDigestOrExact does not accept"):
            await local.pull(pushed.reference)
    replaced = images.push("trust/moved", [TWO])
    content = payload(pushed.descriptor.digest, pushed.reference)
    attach(images.registry, "trust/moved", replaced.descriptor.digest, signed(key, content))
    with pytest.raises(Untrusted, match=f"of another manifest, {pushed.descriptor.digest}"):
        await local.pull(replaced.reference)
    assert nothing_is_kept(local, settings)


async def test_what_cosign_signs_without_a_tag_is_accepted_by_match_repository(
    images: Images, local: LocalImages, policy_path: Path, key: KeyPair
) -> None:
    policy(policy_path, key.requirement(signedIdentity={"type": "matchRepository"}))
    pushed = images.push("trust/cosign", [ONE])
    sign_by_hand(images, pushed, key, identity=pushed.reference.removesuffix(":latest"))
    assert await local.pull(pushed.reference)


async def test_a_mirror_serves_what_its_vendor_signed(
    images: Images, local: LocalImages, policy_path: Path, key: KeyPair
) -> None:
    remap = {
        "type": "remapIdentity",
        "prefix": f"{images.registry.host}/mirror",
        "signedPrefix": "vendor.example",
    }
    policy(policy_path, *REJECT, scopes={images.registry.host: [key.requirement(signedIdentity=remap)]})
    pushed = images.push("mirror/app", [ONE])
    sign_by_hand(images, pushed, key, identity="vendor.example/app:latest")
    assert await local.pull(pushed.reference)


async def test_a_policy_is_asked_again_when_a_tag_moves(
    images: Images, local: LocalImages, policy_path: Path, key: KeyPair
) -> None:
    policy(policy_path, key.requirement())
    old = images.push("trust/moves", [ONE])
    sign_by_hand(images, old, key)
    await local.pull(old.reference)
    images.push("trust/moves", [TWO])
    with pytest.raises(Untrusted):
        await local.pull(old.reference, policy="always")
    assert local.find(old.reference).digest == old.descriptor.digest
    assert (await local.pull(old.reference)).digest == old.descriptor.digest


# --- indexes ----------------------------------------------------------------------------------------------


async def test_who_signs_an_index_vouches_for_each_of_its_images(
    images: Images, local: LocalImages, policy_path: Path, key: KeyPair
) -> None:
    policy(policy_path, key.requirement())
    ours = images.push("trust/index", [ONE], tag="ours")
    theirs = images.push("trust/index", [TWO], tag="theirs", platform=FOREIGN)
    index = images.push_index("trust/index", [ours, theirs])
    sign_by_hand(images, index, key)
    assert (await local.pull(index.reference)).digest == ours.descriptor.digest
    assert (await local.pull(index.reference, platform=FOREIGN)).digest == theirs.descriptor.digest
    found = local.store.resolve(Reference.parse(index.reference))
    assert found is not None
    assert found.digest == index.descriptor.digest


async def test_where_only_one_image_of_an_index_is_signed_the_name_stands_for_it_alone(
    images: Images, local: LocalImages, policy_path: Path, key: KeyPair
) -> None:
    policy(policy_path, key.requirement(signedIdentity={"type": "matchRepository"}))
    ours = images.push("trust/half", [ONE], tag="ours")
    theirs = images.push("trust/half", [TWO], tag="theirs", platform=FOREIGN)
    index = images.push_index("trust/half", [ours, theirs])
    sign_by_hand(images, ours, key)
    assert (await local.pull(index.reference)).digest == ours.descriptor.digest
    found = local.store.resolve(Reference.parse(index.reference))
    assert found is not None
    assert found.digest == ours.descriptor.digest
    assert not isinstance(local.store.document(found), Index)
    assert not local.store.has_blob(index.descriptor.digest)
    with pytest.raises(
        Untrusted, match=r"no sigstore signature .*; nor its manifest for this platform: it has no"
    ):
        await local.pull(index.reference, platform=FOREIGN)
    assert local.find(index.reference).digest == ours.descriptor.digest


async def test_an_unsigned_index_does_not_lend_its_name_to_an_image_that_is_here_for_another_reason(
    images: Images, local: LocalImages, policy_path: Path, key: KeyPair
) -> None:
    """The trap: the evil image is let in under a name that asks for nothing, then listed by a good name."""
    host = images.registry.host
    policy(
        policy_path,
        *REJECT,
        scopes={
            f"{host}/lax": ACCEPT,
            f"{host}/strict": [key.requirement(signedIdentity={"type": "matchRepository"})],
        },
    )
    lax = images.push("lax/evil", [TWO], platform=FOREIGN)
    await local.pull(lax.reference, platform=FOREIGN)
    ours = images.push("strict/app", [ONE], tag="ours")
    evil = images.push("strict/app", [TWO], tag="evil", platform=FOREIGN)
    assert evil.descriptor.digest == lax.descriptor.digest
    index = images.push_index("strict/app", [ours, evil])
    sign_by_hand(images, ours, key)
    await local.pull(index.reference)
    with pytest.raises(Untrusted):
        await local.pull(index.reference, platform=FOREIGN)


# --- what firkin signs ------------------------------------------------------------------------------------


def put(registry: Registry, artifact: Artifact) -> None:
    where = artifact.reference
    for _, content in artifact.blobs:
        registry.put_blob(where.repository, content)
    registry.put_manifest(where.repository, where.tag, artifact.manifest, artifact.media_type)


def sign_by_firkin(images: Images, pushed: Pushed, key: KeyPair, manifest: bytes = b"") -> Artifact:
    private = load_private_key(key.private_path, lambda: b"")
    artifact = sign(Reference.parse(pushed.reference), pushed.descriptor.digest, private, manifest)
    assert artifact is not None
    put(images.registry, artifact)
    return artifact


async def test_what_firkin_signs_is_pulled_and_skopeo_can_read_where_it_lies(
    images: Images, local: LocalImages, policy_path: Path, key: KeyPair, stranger: KeyPair
) -> None:
    policy(policy_path, key.requirement(), stranger.requirement())
    pushed = images.push("trust/ours", [ONE])
    first = sign_by_firkin(images, pushed, key)
    with pytest.raises(Untrusted):
        await local.pull(pushed.reference)
    sign_by_firkin(images, pushed, stranger, first.manifest)
    assert await local.pull(pushed.reference)
    where = f"docker://{first.reference}"
    assert len(json.loads(inspected("--raw", where))["layers"]) == 2
    inspected("--config", where)


def inspected(what: str, where: str) -> bytes:
    command = ["skopeo", "inspect", what, "--tls-verify=false", where]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def test_what_is_pushed_signed_is_let_in_elsewhere_and_what_is_pushed_unsigned_is_not(
    firkin: Command, home: Home, registry: Registry, policy_path: Path, tmp_path: Path
) -> None:
    key, secret = key_pair(tmp_path, "team"), tmp_path / "secret"
    locked = tmp_path / "locked.pem"
    openssl("pkey", "-in", str(key.private_path), "-aes256", "-passout", "pass:open", "-out", str(locked))
    secret.write_text("open\n")
    (home.work_dir / "root.tar").write_bytes(ONE)
    firkin("import", "root.tar", "mine:1", check=True)
    signed_name, unsigned_name = (
        registry.reference("trust/pushed", "1"),
        registry.reference("trust/bare", "1"),
    )
    signing = ["--sign-by-sigstore-private-key", str(locked), "--sign-passphrase-file", str(secret)]
    firkin("push", *signing, "mine:1", signed_name, check=True)
    firkin("push", "mine:1", unsigned_name, check=True)
    policy(policy_path, key.requirement())
    elsewhere = {"FIRKIN_POLICY": str(policy_path), "XDG_DATA_HOME": str(home.root / "elsewhere")}
    refused = firkin("pull", unsigned_name, **elsewhere)
    assert (refused.status, refused.stdout) == (125, "")
    assert "it has no sigstore signature" in refused.stderr
    assert firkin("pull", signed_name, check=True, **elsewhere).stdout.strip() == signed_name


# --- skopeo's signatures ----------------------------------------------------------------------------------


@pytest.fixture
def signer(skopeo: Skopeo, tmp_path: Path) -> KeyPair:
    """Keys of skopeo's own making, the private one in cosign's format, with an empty passphrase."""
    (tmp_path / "empty").write_text("\n")
    words = ["--output-prefix", str(tmp_path / "skopeo"), "--passphrase-file", str(tmp_path / "empty")]
    if skopeo("generate-sigstore-key", *words).returncode:
        pytest.skip("this skopeo knows nothing of sigstore")
    return KeyPair(tmp_path / "skopeo.private", tmp_path / "skopeo.pub")


def copy_signed(skopeo: Skopeo, signer: KeyPair, source: str, target: str) -> None:
    passphrase = str(signer.private_path.with_name("empty"))
    signing = [
        "--sign-by-sigstore-private-key",
        str(signer.private_path),
        "--sign-passphrase-file",
        passphrase,
    ]
    options = ["--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false", *signing]
    ended = skopeo("copy", *options, f"docker://{source}", f"docker://{target}")
    assert ended.returncode == 0, ended.stderr


async def test_firkin_and_skopeo_accept_each_others_signatures_side_by_side(
    images: Images, local: LocalImages, policy_path: Path, key: KeyPair, skopeo: Skopeo, signer: KeyPair
) -> None:
    exact = {"signedIdentity": {"type": "matchExact"}}
    policy(policy_path, key.requirement(**exact), signer.requirement(**exact))
    pushed = images.push("trust/two-tools", [ONE])
    sign_by_firkin(images, pushed, key)
    assert skopeo.verdict(policy_path, f"docker://{pushed.reference}") == "refused"
    copy_signed(skopeo, signer, pushed.reference, pushed.reference)
    assert skopeo.verdict(policy_path, f"docker://{pushed.reference}") == "accepted"
    assert await our_verdict(local, pushed.reference) == "accepted"


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa", "ed25519"])
def test_skopeo_accepts_what_firkin_signs_with_any_key(
    images: Images, policy_path: Path, tmp_path: Path, skopeo: Skopeo, signer: KeyPair, kind: str
) -> None:
    key = key_pair(tmp_path, kind=kind)
    pushed = images.push(f"trust/kinds-{kind}", [ONE])
    sign_by_firkin(images, pushed, key)
    for trusted, verdict in ((key, "accepted"), (signer, "refused")):
        policy(policy_path, trusted.requirement())
        assert skopeo.verdict(policy_path, f"docker://{pushed.reference}") == verdict


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [
        {"type": "matchExact"},
        {"type": "matchRepoDigestOrExact"},
        {"type": "matchRepository"},
        {"type": "exactReference", "dockerReference": "vendor.example/x:1"},
        {"type": "exactRepository", "dockerRepository": "vendor.example/x"},
        {"type": "remapIdentity", "prefix": "HOST/table", "signedPrefix": "vendor.example"},
        {"type": "remapIdentity", "prefix": "HOST", "signedPrefix": "vendor.example"},
        {"type": "remapIdentity", "prefix": "HOST/tab", "signedPrefix": "vendor.example"},
    ],
    ids=lambda rule: "-".join(rule.values()),
)
async def test_a_claim_is_worth_to_us_what_it_is_worth_to_skopeo(
    images: Images,
    local: LocalImages,
    policy_path: Path,
    key: KeyPair,
    skopeo: Skopeo,
    signer: KeyPair,
    rule: dict[str, str],
) -> None:
    host = images.registry.host
    rule = {name: value.replace("HOST", host) for name, value in rule.items()}
    policy(policy_path, key.requirement(signedIdentity=rule))
    pushed = images.push("table/x", [ONE])
    digest, name = pushed.descriptor.digest, f"{host}/table/x"
    identities = [f"{name}:latest", f"{name}:other", name, f"{name}@{digest}", f"{name}:latest@{digest}"]
    identities += [f"vendor.example/{rest}" for rest in ("x", "x:1", "x:latest", "table/x:latest")]
    contents = [payload(digest, identity) for identity in [*identities, "UPPER", ""]]
    contents += [payload(Digest.of(b"other"), f"{name}:latest"), payload(digest, f"{name}:latest", extra=1)]
    for content in contents:
        attach(images.registry, "table/x", digest, signed(key, content))
        for reference in (pushed.reference, pushed.pinned):
            theirs = skopeo.verdict(policy_path, f"docker://{reference}")
            assert await our_verdict(local, reference) == theirs, (content, reference)
            await forget(local)


async def forget(local: LocalImages) -> None:
    for each in local.summaries():
        await local.remove(each.id, force=True)


# --- registries that lie ----------------------------------------------------------------------------------


@pytest.fixture
def liar() -> Iterator[BadRegistry]:
    with bad_registry() as registry:
        yield registry


def lie(liar: BadRegistry, **layer: Any) -> tuple[str, str]:
    """An image at `liar` with one attachment, of which `layer` are fields; its name, and the blob's path."""
    from firkin.oci.manifest import encode_manifest

    manifest = encode_manifest(liar.add_image("x"))
    content = payload(Digest.of(manifest), f"{liar.host}/x:latest")
    described = {
        "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "digest": str(Digest.of(content)),
        "size": len(content),
        "annotations": {ANNOTATION: "AAAA"},
    } | layer
    config = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": str(Digest.of(b"{}")),
        "size": 2,
    }
    attachments = {"schemaVersion": 2, "config": config, "layers": [described]}
    media_type = "application/vnd.oci.image.manifest.v1+json"
    tag = f"/v2/x/manifests/sha256-{Digest.of(manifest).hex}.sig"
    liar.routes[tag] = document(json.dumps(attachments).encode(), media_type)
    path = f"/v2/x/blobs/{described['digest']}"
    liar.routes[path] = blob(content)
    return f"{liar.host}/x", path


@pytest.mark.parametrize(
    ("layer", "complaint"),
    [
        ({}, "not made by a key of the policy"),
        ({"annotations": {ANNOTATION: "A" * (3 << 20)}}, "too long to be one"),
        ({"annotations": {ANNOTATION: "AAA"}}, "not in base64"),
        ({"annotations": {}}, "no signature in its annotation"),
        ({"annotations": {ANNOTATION: 7}}, "cannot be read"),
        ({"size": 1 << 30}, "payload of more than 65536 bytes"),
        ({"digest": "sha256:00"}, "is not a digest"),
        ({"mediaType": "application/x"}, "no sigstore signature"),
    ],
)
async def test_whatever_a_registry_sends_as_a_signature_the_image_stays_out(
    liar: BadRegistry,
    local: LocalImages,
    settings: Settings,
    policy_path: Path,
    key: KeyPair,
    layer: Mapping[str, Any],
    complaint: str,
) -> None:
    policy(policy_path, key.requirement())
    name, _ = lie(liar, **layer)
    with pytest.raises(FirkinError, match=complaint):
        await local.pull(name)
    assert nothing_is_kept(local, settings)
    assert not [seen for seen in liar.seen if seen.path == liar.blob_path("x")]


async def test_a_payload_with_a_wrong_digest_or_without_an_end_is_refused(
    liar: BadRegistry, local: LocalImages, settings: Settings, policy_path: Path, key: KeyPair
) -> None:
    policy(policy_path, key.requirement())
    name, path = lie(liar)
    for content, complaint in ((b"other", "has the digest"), (b"x" * (1 << 20), "more than 65536 bytes")):
        liar.routes[path] = blob(content)
        with pytest.raises(FirkinError, match=complaint):
            await local.pull(name)
    assert nothing_is_kept(local, settings)


async def test_a_registry_that_fails_over_signatures_does_not_get_its_image_in(
    liar: BadRegistry, local: LocalImages, settings: Settings, policy_path: Path, key: KeyPair
) -> None:
    policy(policy_path, key.requirement())
    name, path = lie(liar)
    liar.routes[path] = lambda exchange: exchange.send(418)
    with pytest.raises(RegistryError):
        await local.pull(name)
    assert nothing_is_kept(local, settings)


async def test_what_is_rejected_outright_is_not_even_asked_for(
    liar: BadRegistry, local: LocalImages, settings: Settings, policy_path: Path
) -> None:
    liar.add_image("x")
    for content, error in ((REJECT, Untrusted), (SIGNED_BY, Untrusted), ([{"type": "?"}], UsageError)):
        policy(policy_path, *content)
        with pytest.raises(error):
            await local.pull(f"{liar.host}/x")
    assert liar.seen == []
    assert nothing_is_kept(local, settings)


async def test_where_the_policy_asks_for_nothing_no_signature_is_looked_for(
    liar: BadRegistry, local: LocalImages, policy_path: Path
) -> None:
    policy(policy_path, *ACCEPT)
    name, _ = lie(liar)
    await local.pull(name)
    assert not [seen for seen in liar.seen if ".sig" in seen.path]


# --- as a user sees it ------------------------------------------------------------------------------------


def test_a_user_reads_which_policy_refuses_what_and_why(
    firkin: Command, home: Home, images: Images, key: KeyPair
) -> None:
    pushed = images.push("trust/user", [ONE])
    path = home.root / "home/.config/containers/policy.json"
    path.parent.mkdir(parents=True)
    policy(path, *REJECT, scopes={f"{images.registry.host}/trust": [key.requirement()]})
    refused = firkin("pull", pushed.reference)
    assert refused.status == 125
    scope = f"docker {images.registry.host}/trust"
    assert (
        f"firkin: image {pushed.reference} is refused by the policy {path}, for {scope}: " in refused.stderr
    )
    assert f"change {path}" in refused.stderr
    assert firkin("images", "-q").stdout == ""
    sign_by_hand(images, pushed, key)
    assert firkin("pull", pushed.reference).stdout.strip() == pushed.reference


def test_an_import_is_judged_before_it_is_read(firkin: Command, home: Home, policy_path: Path) -> None:
    archive = home.work_dir / "root.tar"
    archive.write_bytes(ONE)
    policy(policy_path, *REJECT)
    for source in (str(archive), str(home.work_dir / "absent.tar")):
        refused = firkin("import", source, "mine", FIRKIN_POLICY=str(policy_path))
        assert (refused.status, refused.stdout) == (125, "")
        assert f"firkin: archive {source} is refused by the policy {policy_path}" in refused.stderr
    content = {"default": REJECT, "transports": {"tarball": {"": ACCEPT}}}
    policy_path.write_text(json.dumps(content))
    firkin("import", str(archive), "mine", check=True, FIRKIN_POLICY=str(policy_path))
    assert "mine" in firkin("images").stdout
