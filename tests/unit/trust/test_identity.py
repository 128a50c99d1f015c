"""Whose image a signature may speak of. The tables are those of containers/image's own tests."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.errors import ReferenceSyntaxError
from firkin.oci.reference import Reference
from firkin.trust.identity import (
    ExactReference,
    ExactRepository,
    Identity,
    MatchExact,
    MatchRepoDigestOrExact,
    MatchRepository,
    RemapIdentity,
    Rule,
)

ONE, TWO = f"@sha256:{'1' * 64}", f"@sha256:{'2' * 64}"
RHEL = "private-registry.example.com/rhel7/rhel:7.2.3"


def accepts(rule: Rule, claimed: str, fetched: str | None) -> bool:
    intended = None if fetched is None else Identity.of(Reference.parse(fetched))
    return rule.accepts(Identity.parse(claimed), intended)


@pytest.mark.parametrize(
    ("fetched", "claimed", "exact", "repo_digest_or_exact", "repository"),
    [
        ("busybox:latest", "busybox:latest", True, True, True),
        ("busybox", "busybox:latest", True, True, True),  # a fetched name has its default tag
        (RHEL, RHEL, True, True, True),
        (f"busybox{ONE}", f"busybox{ONE}", True, True, True),
        ("library/busybox:latest", "busybox:latest", True, True, True),
        ("busybox:latest", "index.docker.io/library/busybox:latest", True, True, True),
        ("busybox:latest", "busybox:notlatest", False, False, True),
        ("busybox:latest", "notbusybox:latest", False, False, False),
        ("busybox:latest", "hostname:80/library/busybox:latest", False, False, False),
        ("busybox:latest", "busybox", False, False, True),  # as cosign signs
        (f"busybox{ONE}", "busybox", False, False, True),
        ("busybox:latest", f"busybox{ONE}", False, False, True),
        (f"busybox{ONE}", "busybox:latest", False, True, True),
        (f"busybox{ONE}", f"busybox{TWO}", False, True, True),
        (f"busybox:1{ONE}", "busybox:2", False, True, True),  # beside a digest a tag is a remark
        ("busybox:latest", f"busybox:latest{ONE}", False, False, True),
        (RHEL, "private-registry.example.com/rhel7/rhel", False, False, True),
        (RHEL, "other-registry.example.com/rhel7/rhel:7.2.3", False, False, False),
    ],
)
def test_a_claim_fits_an_image_as_the_rule_says(
    fetched: str, claimed: str, exact: bool, repo_digest_or_exact: bool, repository: bool
) -> None:
    assert accepts(MatchExact(), claimed, fetched) is exact
    assert accepts(MatchRepoDigestOrExact(), claimed, fetched) is repo_digest_or_exact
    assert accepts(MatchRepository(), claimed, fetched) is repository


@pytest.mark.parametrize(
    ("wanted", "claimed", "exact", "repository"),
    [
        ("busybox:latest", "docker.io/library/busybox:latest", True, True),
        ("busybox:latest", "busybox:1", False, True),
        ("busybox:latest", "busybox", False, True),
        (f"busybox{ONE}", f"busybox{ONE}", True, True),
        (f"busybox{ONE}", f"busybox{TWO}", False, True),
        ("quay.io/busybox:latest", "busybox:latest", False, False),
    ],
)
def test_a_fixed_identity_counts_wherever_the_image_comes_from(
    wanted: str, claimed: str, exact: bool, repository: bool
) -> None:
    for fetched in (None, "mirror.lan/x:1"):
        assert accepts(ExactReference(wanted), claimed, fetched) is exact
        assert accepts(ExactRepository(wanted), claimed, fetched) is repository


@pytest.mark.parametrize("rule", [MatchExact(), MatchRepoDigestOrExact(), MatchRepository()])
def test_what_has_no_name_at_a_registry_matches_no_claim_about_one(rule: Rule) -> None:
    assert not accepts(rule, "busybox:latest", None)
    assert not accepts(RemapIdentity("a.lan", "b.lan"), "busybox:latest", None)


@pytest.mark.parametrize(
    ("prefix", "signed", "fetched", "claimed", "accepted"),
    [
        ("mirror.lan:5000/v", "vendor.com", "mirror.lan:5000/v/p/i:1", "vendor.com/p/i:1", True),
        ("mirror.lan:5000/v", "vendor.com", "mirror.lan:5000/v/p/i:1", "vendor.com/p/i:2", False),
        ("mirror.lan:5000/v", "vendor.com", f"mirror.lan:5000/v/p/i{ONE}", "vendor.com/p/i:2", True),
        ("mirror.lan:5000/v", "vendor.com", "mirror.lan:5000/vv/i:1", "vendor.com/v/i:1", False),
        ("mirror.lan:5000/v", "vendor.com", "mirror.lan:5000/vv/i:1", "mirror.lan:5000/vv/i:1", True),
        ("mirror.lan", "vendor.com", "mirror.lan:5000/i:1", "vendor.com:5000/i:1", False),
        ("mirror.lan/a", "vendor.com/b", "mirror.lan/a:1", "vendor.com/b:1", True),
    ],
)
def test_a_mirrors_prefix_is_replaced_at_a_slash(
    prefix: str, signed: str, fetched: str, claimed: str, accepted: bool
) -> None:
    assert accepts(RemapIdentity(prefix, signed), claimed, fetched) is accepted


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "exactReference", "dockerReference": "busybox"}',
        '{"type": "exactReference", "dockerReference": "UPPER"}',
        '{"type": "exactReference"}',
        '{"type": "exactRepository", "dockerRepository": ""}',
        '{"type": "matchExact", "dockerReference": "busybox"}',
        '{"type": "remapIdentity", "prefix": "a.lan"}',
        '{"type": "remapIdentity", "prefix": "a.lan", "signedPrefix": "b.lan:tag/x"}',
        '{"type": "remapIdentity", "prefix": "", "signedPrefix": "b.lan"}',
        '{"type": "matchAnything"}',
        "null",
    ],
)
def test_a_rule_that_could_not_mean_anything_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Rule)  # type: ignore[arg-type]


@given(
    st.from_regex(r"([a-z]{1,9}\.io(:[0-9]{1,5})?/)?[a-z0-9]{1,8}(/[a-z0-9]{1,8})?", fullmatch=True),
    st.sampled_from(["", ":latest", ":1", ONE, f":x{ONE}"]),
)
def test_an_identity_is_what_its_text_says(name: str, suffix: str) -> None:
    identity = Identity.parse(name + suffix)
    assert identity.suffix == suffix
    assert Identity.parse(str(identity)) == identity


@pytest.mark.parametrize("text", ["", "UPPER", "a b", f"busybox@sha256:{'1' * 63}", "busybox:", "../x"])
def test_a_text_that_names_nothing_is_no_identity(text: str) -> None:
    with pytest.raises(ReferenceSyntaxError):
        Identity.parse(text)
