"""The policy file: where it is looked for, and how strictly it is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.errors import Untrusted, UsageError
from firkin.events import Event, subscribed
from firkin.oci.reference import Reference
from firkin.pytest.home import Home
from firkin.settings import Settings
from firkin.trust.policy import AcceptAnything, Policy, Reject, SigstoreSigned
from firkin.trust.policy_file import MAX_POLICY_BYTES, load_policy, parse_policy
from firkin.trust.subject import Subject

ANYTHING, REJECT = '{"type": "insecureAcceptAnything"}', '{"type": "reject"}'
ACCEPTING, REJECTING = f'{{"default": [{ANYTHING}]}}', f'{{"default": [{REJECT}]}}'


def with_requirement(text: str) -> str:
    return f'{{"default": [{REJECT}], "transports": {{"docker": {{"quay.io/a": [{text}]}}}}}}'


def with_transport(name: str, scope: str) -> str:
    return json.dumps({"default": [{"type": "reject"}], "transports": {name: {scope: [{"type": "reject"}]}}})


@pytest.mark.parametrize(
    "requirement",
    [
        ANYTHING,
        REJECT,
        '{"type": "sigstoreSigned", "keyPath": "/k.pub"}',
        '{"type": "sigstoreSigned", "keyPaths": ["/k.pub", "/l.pub"]}',
        '{"type": "sigstoreSigned", "keyData": "aGk=", "signedIdentity": {"type": "matchRepository"}}',
        '{"type": "sigstoreSigned", "keyDatas": ["aGk=", "aG8="]}',
        '{"type": "sigstoreSigned", "keyPath": "/k.pub", "rekorPublicKeyPath": "/r.pub"}',
        '{"type": "sigstoreSigned", "rekorPublicKeyData": "aGk=", '
        '"fulcio": {"caPath": "/ca", "oidcIssuer": "https://i", "subjectEmail": "a@b"}}',
        '{"type": "sigstoreSigned", "pki": {"caRootsPath": "/ca", "subjectEmail": "a@b"}}',
        '{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k.gpg"}',
        '{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/k.gpg"], '
        '"signedIdentity": {"type": "remapIdentity", "prefix": "a.lan:5000/x", "signedPrefix": "b.com"}}',
        '{"type": "signedBaseLayer", '
        '"baseLayerIdentity": {"type": "exactRepository", "dockerRepository": "registry.com/rhel7/rhel"}}',
    ],
)
def test_every_requirement_of_the_format_is_understood(requirement: str) -> None:
    policy = parse_policy(with_requirement(requirement).encode(), "p")
    assert len(policy.transports["docker"]["quay.io/a"]) == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "Expecting value"),
        ("[]", "the file is not an object"),
        ("null", "the file is not an object"),
        ("{}", "default is missing"),
        (ACCEPTING + "x", "Extra data"),
        ("\ufeff" + ACCEPTING, "BOM"),
        ('{"default": []}', "default is not a list of at least one requirement"),
        ('{"default": null}', "default is not a list"),
        ('{"default": {"type": "reject"}}', "default is not a list"),
        (f'{{"default": [{ANYTHING}], "defaults": []}}', "unknown key 'defaults'"),
        (f'{{"default": [{REJECT}], "default": [{ANYTHING}]}}', "the key 'default' is there twice"),
        ('{"default": [{"type": "reject", "type": "insecureAcceptAnything"}]}', "'type' is there twice"),
        ('{"default": [{"type": "reject", "keyPath": "/k"}]}', "unknown field `keyPath`"),
        ('{"default": [{"type": "Reject"}]}', "Invalid value 'Reject'"),
        ('{"default": [{"Type": "reject"}]}', "missing required field `type`"),
        ('{"default": [{}]}', "missing required field `type`"),
        ('{"default": ["reject"]}', "default: Expected `object`"),
        ('{"default": [NaN]}', "NaN is no JSON"),
        (f'{{"default": [{ANYTHING}], "transports": null}}', "transports is not an object"),
        (f'{{"default": [{ANYTHING}], "transports": {{"docker": []}}}}', "transport 'docker' is not"),
        (with_requirement('{"type": "sigstoreSigned"}'), "exactly one of keyPath, keyPaths, keyData"),
        (with_requirement('{"type": "sigstoreSigned", "keyPath": ""}'), "keyPath is empty"),
        (with_requirement('{"type": "sigstoreSigned", "keyPaths": []}'), "keyPaths is empty"),
        (with_requirement('{"type": "sigstoreSigned", "keyPath": null}'), "got `null`"),
        (
            with_requirement('{"type": "sigstoreSigned", "keyPath": "/k", "keyData": "aGk="}'),
            "exactly one of",
        ),
        (with_requirement('{"type": "sigstoreSigned", "keyData": "aGk"}'), "base64"),
        (with_requirement('{"type": "sigstoreSigned", "keyPath": "/k", "keytype": "x"}'), "unknown field"),
        (
            with_requirement('{"type": "sigstoreSigned", "keyPath": "/k", "signedIdentity": null}'),
            "Expected `object`, got `null`",
        ),
        (
            with_requirement(
                '{"type": "sigstoreSigned", '
                '"fulcio": {"caPath": "/ca", "oidcIssuer": "https://i", "subjectEmail": "a@b"}}'
            ),
            "fulcio needs a rekorPublicKey",
        ),
        (
            with_requirement(
                '{"type": "sigstoreSigned", "keyPath": "/k", '
                '"rekorPublicKeyPath": "/r", "rekorPublicKeyData": "aGk="}'
            ),
            "exactly one of rekorPublicKeyPath",
        ),
        (with_requirement('{"type": "signedBy", "keyPath": "/k"}'), "missing required field `keyType`"),
        (with_requirement('{"type": "signedBy", "keyType": "GPG", "keyPath": "/k"}'), "Invalid enum value"),
        (with_transport("docker-archive", "/x"), 'this transport has only the scope ""'),
        (with_transport("tarball", "/x"), 'this transport has only the scope ""'),
        (with_transport("dir", "x"), "not an absolute path"),
        (with_transport("oci-archive", "/"), 'write "" for all paths'),
        (with_transport("oci-archive", "/a/../b"), "write '/b'"),
        (with_transport("oci", "//a"), "write '/a'"),
        (with_transport("docker", "Quay.io/a"), "lowercase"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_with_anything_wrong_in_it_is_rejected_whole(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_policy(text.encode(), "/etc/p.json")
    assert complaint in str(caught.value)
    assert "/etc/p.json" in str(caught.value)
    assert "containers-policy.json(5)" in caught.value.hint


def test_a_file_that_is_no_text_or_too_long_is_rejected() -> None:
    for content in (b'{"default": "\xff"}', b" " * MAX_POLICY_BYTES + ACCEPTING.encode()):
        with pytest.raises(UsageError, match="cannot use the policy"):
            parse_policy(content, "p")


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_any_bytes_are_a_policy_or_a_usage_error(content: bytes) -> None:
    try:
        parse_policy(content, "p")
    except UsageError:
        pass


@pytest.mark.parametrize("transport", ["docker", "dir", "atomic", "some-transport-of-tomorrow"])
def test_a_scope_of_any_transport_is_kept(transport: str) -> None:
    policy = parse_policy(with_transport(transport, "/a").encode(), "p")
    assert policy.transports[transport]["/a"] == (Reject(),)


# --- where it is ------------------------------------------------------------------------------------------


@pytest.fixture
def user_path(home: Home) -> Path:
    path = home.root / "home/.config/containers/policy.json"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def system_path(tmp_path: Path) -> Path:
    return tmp_path / "etc-policy.json"


def loaded(home: Home, system_path: Path, **overrides: object) -> Policy:
    return load_policy(Settings.load(home.environ(), **overrides), system_path)


def test_the_setting_beats_the_users_file_and_that_beats_the_systems(
    home: Home, user_path: Path, system_path: Path, tmp_path: Path
) -> None:
    system_path.write_text(REJECTING)
    assert loaded(home, system_path).path == str(system_path)
    user_path.write_text(ACCEPTING)
    assert loaded(home, system_path).default == (AcceptAnything(),)
    chosen = tmp_path / "mine.json"
    chosen.write_text(REJECTING)
    assert loaded(home, system_path, policy=str(chosen)).default == (Reject(),)


def test_firkin_policy_in_the_environment_names_the_file(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(REJECTING)
    settings = Settings.load(home.environ() | {"FIRKIN_POLICY": str(path), "FIRKIN_REQUIRE_POLICY": "true"})
    assert load_policy(settings).path == str(path)
    assert settings.require_policy


def test_without_any_policy_all_is_accepted_and_that_is_told(home: Home, system_path: Path) -> None:
    events: list[Event] = []
    with subscribed(events.append):
        assert loaded(home, system_path) == Policy()
    assert [event.name for event in events] == ["policy.missing"]
    assert str(system_path) in events[0].fields["searched"]


def test_without_any_policy_all_is_refused_where_one_is_required(home: Home, system_path: Path) -> None:
    with pytest.raises(Untrusted, match=f"a policy is required .* neither .* nor {system_path}") as caught:
        loaded(home, system_path, require_policy=True)
    assert "FIRKIN_POLICY" in caught.value.hint


def test_a_policy_that_cannot_be_read_is_never_taken_for_a_missing_one(
    home: Home, user_path: Path, system_path: Path, tmp_path: Path
) -> None:
    system_path.write_text(ACCEPTING)
    user_path.symlink_to("nowhere")
    with pytest.raises(UsageError, match=f"cannot read the policy {user_path}: No such file"):
        loaded(home, system_path)
    user_path.unlink()
    user_path.mkdir()
    with pytest.raises(UsageError, match=f"cannot read the policy {user_path}: Is a directory"):
        loaded(home, system_path)
    with pytest.raises(UsageError, match=r"cannot read the policy .*/absent: No such file"):
        loaded(home, system_path, policy=str(tmp_path / "absent"))
    user_path.rmdir()
    user_path.write_text("{")
    with pytest.raises(UsageError, match=f"cannot use the policy {user_path}"):
        loaded(home, system_path)


# --- which requirements count -----------------------------------------------------------------------------


def test_the_most_specific_scope_counts_and_it_alone() -> None:
    scopes = [
        "",
        "*.com",
        "*.example.com",
        "r.example.com:5000",
        "r.example.com:5000/ns",
        "r.example.com:5000/ns/repo",
        "r.example.com:5000/ns/repo:1",
    ]
    subject = Subject.of_reference(Reference.parse("r.example.com:5000/ns/repo:1"))
    for count in range(len(scopes) + 1):
        document = {
            "default": [{"type": "reject"}],
            "transports": {
                "docker": {
                    scope: [{"type": "sigstoreSigned", "keyPath": f"/{scope}"}] for scope in scopes[:count]
                },
                "atomic": {scopes[-1]: [{"type": "reject"}]},
            },
        }
        selected = parse_policy(json.dumps(document).encode(), "/p").select(subject)
        if count == 0:
            assert (selected.place, selected.requirements) == ("/p, by default", (Reject(),))
        else:
            assert selected.requirements == (SigstoreSigned(key_path=f"/{scopes[count - 1]}"),)
            assert (
                selected.place == f"/p, for {f'docker {scopes[count - 1]}' if count > 1 else 'all of docker'}"
            )


@pytest.mark.parametrize(
    ("reference", "scopes"),
    [
        ("busybox", ("docker.io/library/busybox:latest", "docker.io/library/busybox", "docker.io/library")),
        (f"localhost:5/x:1@sha256:{'1' * 64}", (f"localhost:5/x@sha256:{'1' * 64}", "localhost:5/x")),
    ],
)
def test_the_scopes_of_an_image_begin_with_itself(reference: str, scopes: tuple[str, ...]) -> None:
    assert Subject.of_reference(Reference.parse(reference)).scopes[: len(scopes)] == scopes


def test_the_scopes_of_an_archive_are_the_directories_above_it_without_links(tmp_path: Path) -> None:
    real = tmp_path.resolve() / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    scopes = Subject.of_oci_archive(tmp_path / "link/x.tar").scopes
    assert scopes[:2] == (str(real / "x.tar"), str(real))
    assert "/" not in scopes
    assert Subject.of_tarball("-").scopes == ()
