"""Identity: whose image a signature says it is of, and the rules for which of these a policy accepts.

A signature names its image by a Docker reference ("docker-reference"). Which one is right for an image is
the policy's "signedIdentity" (containers-policy.json(5), under signedBy).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from firkin.errors import ReferenceSyntaxError
from firkin.oci.reference import DEFAULT_TAG, Reference

_PREFIX = re.compile(r"(?:[a-z0-9][a-z0-9.-]*|\[[0-9a-f:.]+\])(?::[0-9]+)?(?:/[a-z0-9][a-z0-9._-]*)*")


@dataclass(frozen=True, slots=True)
class Identity:
    """The full name of a repository, and `:tag`, `@digest` or both; an empty suffix names the repository."""

    name: str
    suffix: str

    @classmethod
    def of(cls, reference: Reference) -> Identity:
        """That of an image which is fetched by `reference`: a digest decides, and its tag is a remark."""
        suffix = f":{reference.tag}" if reference.digest is None else f"@{reference.digest}"
        return cls(reference.name, suffix)

    @classmethod
    def parse(cls, text: str) -> Identity:
        """What `text` names, without a default tag. Raises ReferenceSyntaxError."""
        reference = Reference.parse(text)
        whole = str(reference).removeprefix(reference.name)
        implied = whole == f":{DEFAULT_TAG}" and not text.endswith(whole)
        return cls(reference.name, "" if implied else whole)

    def __str__(self) -> str:
        return self.name + self.suffix


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", rename="camel"): ...


class MatchExact(_Rule, frozen=True, tag="matchExact"):
    """The very reference that the image is fetched by."""

    def accepts(self, claimed: Identity, intended: Identity | None) -> bool:
        return bool(claimed.suffix) and claimed == intended


class MatchRepoDigestOrExact(_Rule, frozen=True, tag="matchRepoDigestOrExact"):
    """The same; for an image that is fetched by its digest any tag of its repository."""

    def accepts(self, claimed: Identity, intended: Identity | None) -> bool:
        return intended is not None and _repo_digest_or_exact(claimed, intended)


class MatchRepository(_Rule, frozen=True, tag="matchRepository"):
    """Anything in the image's repository."""

    def accepts(self, claimed: Identity, intended: Identity | None) -> bool:
        return intended is not None and claimed.name == intended.name


class ExactReference(_Rule, frozen=True, tag="exactReference"):
    """One reference, wherever the image comes from."""

    docker_reference: str

    def __post_init__(self) -> None:
        if not _parsed(self.docker_reference).suffix:
            raise ValueError(f"dockerReference {self.docker_reference!r} has neither a tag nor a digest")

    def accepts(self, claimed: Identity, intended: Identity | None) -> bool:
        return claimed == _parsed(self.docker_reference)


class ExactRepository(_Rule, frozen=True, tag="exactRepository"):
    """Anything in one repository, wherever the image comes from."""

    docker_repository: str

    def __post_init__(self) -> None:
        _parsed(self.docker_repository)

    def accepts(self, claimed: Identity, intended: Identity | None) -> bool:
        return claimed.name == _parsed(self.docker_repository).name


class RemapIdentity(_Rule, frozen=True, tag="remapIdentity"):
    """As matchRepoDigestOrExact, once the image's `prefix` is replaced: for mirrors."""

    prefix: str
    signed_prefix: str

    def __post_init__(self) -> None:
        for prefix in (self.prefix, self.signed_prefix):
            if not _PREFIX.fullmatch(prefix):
                raise ValueError(f"prefix {prefix!r} is not a host, or a host with a namespace")

    def accepts(self, claimed: Identity, intended: Identity | None) -> bool:
        return intended is not None and _repo_digest_or_exact(claimed, self._remapped(intended))

    def _remapped(self, intended: Identity) -> Identity:
        if intended.name != self.prefix and not intended.name.startswith(self.prefix + "/"):
            return intended
        return Identity(self.signed_prefix + intended.name.removeprefix(self.prefix), intended.suffix)


Rule = (
    MatchExact | MatchRepoDigestOrExact | MatchRepository | ExactReference | ExactRepository | RemapIdentity
)


def _repo_digest_or_exact(claimed: Identity, intended: Identity) -> bool:
    """That the digest is right is checked elsewhere; a signature that names no tag speaks of none."""
    if not claimed.suffix:
        return False
    return claimed.name == intended.name if intended.suffix.startswith("@") else claimed == intended


def _parsed(text: str) -> Identity:
    """`text` of a policy. Raises ValueError, as msgspec wants it."""
    try:
        return Identity.parse(text)
    except ReferenceSyntaxError as error:
        raise ValueError(str(error)) from error
