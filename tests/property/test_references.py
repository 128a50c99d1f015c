"""Whatever parses, prints to something that parses to the same; whatever doesn't, says why."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from firkin.errors import ReferenceSyntaxError, UsageError
from firkin.oci.digest import Digest
from firkin.oci.platform import Platform
from firkin.oci.reference import Reference

digests = st.binary(max_size=8).map(lambda content: f"sha256:{hashlib.sha256(content).hexdigest()}")
components = st.from_regex(r"[a-z0-9]+(?:(?:\.|_|__|-{1,3})[a-z0-9]+){0,2}", fullmatch=True).filter(
    lambda component: len(component) < 40
)
_DOCKER = ("docker.io/", "index.docker.io/")
_LOOPBACK = ("localhost/", "localhost:5000/", "LOCALHOST/", "127.0.0.1:5000/", "[::1]:5000/")
hosts = st.sampled_from(
    [*_DOCKER, *_LOOPBACK, "registry.example.com/", "Example.COM:8443/", "library/", "a.b/"]
)
tags = st.one_of(st.just(""), st.from_regex(r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True))
pins = st.one_of(st.just(""), digests.map("@{}".format))
names = st.lists(components, min_size=1, max_size=4).map("/".join)
short_names = names.filter(lambda name: "." not in name.partition("/")[0])
texts = st.builds("{}{}{}".format, st.one_of(short_names, st.builds("{}{}".format, hosts, names)), tags, pins)


@given(texts)
def test_a_reference_parses_to_itself_from_its_full_and_its_familiar_name(text: str) -> None:
    reference = Reference.parse(text)
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference
    assert len(reference.familiar) <= len(str(reference))


@given(texts)
def test_no_part_of_a_reference_leaves_the_directory_it_names(text: str) -> None:
    reference = Reference.parse(text)
    parts = [*reference.registry.split("/"), *reference.repository.split("/"), reference.tag or "x"]
    assert all(part and not part.startswith(".") and "\0" not in part and "/" not in part for part in parts)
    assert not any(part.startswith("_") for part in parts[:-1])


@given(st.one_of(st.text(max_size=60), st.text(alphabet="aA0._-:/@[]% \n\0é", max_size=30)))
def test_any_text_is_a_reference_or_a_reference_syntax_error_with_a_hint(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except ReferenceSyntaxError as error:
        hint = error.hint
    else:
        hint = "not needed"
        assert Reference.parse(str(reference)) == reference
    assert hint


@given(st.text(max_size=80))
def test_any_text_is_a_digest_or_a_usage_error(text: str) -> None:
    try:
        digest = Digest.parse(text)
    except UsageError:
        return
    assert str(digest) == text


words = st.sampled_from(
    [
        "linux",
        "windows",
        "amd64",
        "x86_64",
        "arm64",
        "aarch64",
        "arm",
        "armhf",
        "386",
        "v1",
        "v6",
        "v7",
        "v8",
        "8",
    ]
)


@given(st.lists(words, min_size=1, max_size=3).map("/".join))
def test_a_platform_parses_to_itself(text: str) -> None:
    try:
        platform = Platform.parse(text)
    except UsageError:
        assume(False)
    assert Platform.parse(str(platform)) == platform


@given(st.text(max_size=20))
def test_any_text_is_a_platform_or_a_usage_error(text: str) -> None:
    try:
        platform = Platform.parse(text)
    except UsageError:
        return
    assert Platform.parse(str(platform)) == platform


@pytest.mark.parametrize("text", ["sha256:" + "0" * 63, "sha512:" + "0" * 64, "sha256:" + "A" * 64, "0" * 64])
def test_a_digest_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Digest.parse(text)
