"""References as Docker's users write them."""

from __future__ import annotations

import pytest

from firkin.errors import ReferenceSyntaxError
from firkin.oci.reference import Reference

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
        ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("index.docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("grafana/grafana", "docker.io/grafana/grafana:latest", "grafana/grafana:latest"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
        ("[::1]:5000/a/b:c", "[::1]:5000/a/b:c", "[::1]:5000/a/b:c"),
        ("Quay.IO/a/b", "quay.io/a/b:latest", "quay.io/a/b:latest"),
        (f"x@sha256:{HEX}", f"docker.io/library/x@sha256:{HEX}", f"x@sha256:{HEX}"),
        (f"x:1@sha256:{HEX}", f"docker.io/library/x:1@sha256:{HEX}", f"x:1@sha256:{HEX}"),
        ("docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
    ],
)
def test_short_names_mean_what_docker_means_by_them(text: str, full: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert (str(reference), reference.familiar) == (full, familiar)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("Alpine", "'Alpine' has capital letters"),
        ("alpine:", "'' is not a tag"),
        ("alpine:-x", "'-x' is not a tag"),
        ("alpine:" + "x" * 129, "is not a tag"),
        ("alpine@sha256:123", "'sha256:123' after the @ is not a digest"),
        ("a//b", "has an empty part"),
        ("a/../b", "'..' is not part of a repository's name"),
        ("../etc", "'..' is not a host"),
        ("a b", "'a b' is not part"),
        ("https://quay.io/x", "it is not a URL"),
        ("-bad.host/x", "'-bad.host' is not a host"),
        (HEX, "64 hex digits are an id"),
        ("/".join(["abcdefgh"] * 40), "more than 255 characters"),
        ("alpine\n", "is not part"),
    ],
)
def test_a_refused_reference_says_why(text: str, reason: str) -> None:
    with pytest.raises(ReferenceSyntaxError) as caught:
        Reference.parse(text)
    assert reason in str(caught.value)
    assert caught.value.hint


def test_a_pinned_reference_keeps_the_repository_and_loses_the_tag() -> None:
    pinned = Reference.parse(f"quay.io/a/b@sha256:{HEX}")
    assert Reference.parse("quay.io/a/b:1").with_digest(pinned.digest) == pinned  # type: ignore[arg-type]
