"""Policy: the requirements that containers-policy.json(5) sets, and which of them a subject has to meet.

Of the subject's scopes the most specific one that the policy lists counts, then its transport's "", then
the default; never more than one of them. All of its requirements have to be met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from firkin.trust.identity import MatchRepoDigestOrExact, Rule
from firkin.trust.subject import Subject


class _Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", rename="camel"):
    @property
    def impossible(self) -> str:
        """Why nothing can meet it here; "" where a subject's signatures decide, or nothing is asked."""
        return "the policy asks for what firkin does not know"


class AcceptAnything(_Requirement, frozen=True, tag="insecureAcceptAnything"):
    """Asks for nothing."""

    @property
    def impossible(self) -> str:
        return ""


class Reject(_Requirement, frozen=True, tag="reject"):
    """Is met by nothing."""

    @property
    def impossible(self) -> str:
        return "the policy rejects it"


class SignedBy(_Requirement, frozen=True, tag="signedBy"):
    """A GPG signature ("simple signing"), which firkin does not verify."""

    key_type: Literal["GPGKeys", "signedByGPGKeys", "X509Certificates", "signedByX509CAs"]
    key_path: str | UnsetType = UNSET
    key_paths: list[str] | UnsetType = UNSET
    key_data: bytes | UnsetType = UNSET
    signed_identity: Rule = MatchRepoDigestOrExact()

    def __post_init__(self) -> None:
        _exactly_one(self, ("key_path", "key_paths", "key_data"))

    @property
    def impossible(self) -> str:
        return "the policy asks for a GPG signature (signedBy), which firkin cannot verify"


class SignedBaseLayer(_Requirement, frozen=True, tag="signedBaseLayer"):
    """In the format, but in no implementation of it."""

    base_layer_identity: Rule

    @property
    def impossible(self) -> str:
        return "the policy asks for a signed base layer (signedBaseLayer), which nobody can verify"


class Fulcio(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A certificate authority of sigstore's, and whom it must have certified."""

    oidc_issuer: str
    subject_email: str
    ca_path: str | UnsetType = UNSET
    ca_data: bytes | UnsetType = UNSET

    def __post_init__(self) -> None:
        _exactly_one(self, ("ca_path", "ca_data"))


class Pki(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Certificate authorities of one's own, and whom they must have certified."""

    caRootsPath: str = ""
    caRootsData: bytes = b""
    caIntermediatesPath: str = ""
    caIntermediatesData: bytes = b""
    subjectEmail: str = ""
    subjectHostname: str = ""


class SigstoreSigned(_Requirement, frozen=True, tag="sigstoreSigned"):
    """A sigstore signature by one of these keys, for an identity that `signed_identity` accepts.

    Signatures by certificate (fulcio, pki) and those that a log must know (rekor) are read and refused.
    """

    key_path: str | UnsetType = UNSET
    key_paths: list[str] | UnsetType = UNSET
    key_data: bytes | UnsetType = UNSET
    key_datas: list[bytes] | UnsetType = UNSET
    fulcio: Fulcio | UnsetType = UNSET
    pki: Pki | UnsetType = UNSET
    rekor_public_key_path: str | UnsetType = UNSET
    rekor_public_key_paths: list[str] | UnsetType = UNSET
    rekor_public_key_data: bytes | UnsetType = UNSET
    rekor_public_key_datas: list[bytes] | UnsetType = UNSET
    signed_identity: Rule = MatchRepoDigestOrExact()

    def __post_init__(self) -> None:
        _exactly_one(self, ("key_path", "key_paths", "key_data", "key_datas", "fulcio", "pki"))
        if self._rekor:
            _exactly_one(self, [name for name in self.__struct_fields__ if name.startswith("rekor")])
        if self.fulcio is not UNSET and not self._rekor:
            raise ValueError("fulcio needs a rekorPublicKey field beside it")

    @property
    def _rekor(self) -> list[str]:
        return _present(self, [name for name in self.__struct_fields__ if name.startswith("rekor")])

    @property
    def impossible(self) -> str:
        for name, there in (("fulcio", self.fulcio), ("pki", self.pki), ("rekorPublicKey", self._rekor)):
            if there is not UNSET and there:
                return f"the policy asks for a sigstore signature by {name}, which firkin cannot verify"
        return ""


Requirement = AcceptAnything | Reject | SignedBy | SignedBaseLayer | SigstoreSigned
Requirements = tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class Selected:
    """The requirements that count for a subject, and where they stand, in words."""

    place: str
    requirements: Requirements


@dataclass(frozen=True, slots=True)
class Policy:
    """What a policy file says. `path` is "" where there is none, and everything is accepted."""

    default: Requirements = (AcceptAnything(),)
    transports: Mapping[str, Mapping[str, Requirements]] = field(default_factory=dict)
    path: str = ""

    def select(self, subject: Subject) -> Selected:
        """The one set of requirements that `subject` has to meet."""
        scopes = self.transports.get(subject.transport, {})
        for scope in (*subject.scopes, ""):
            if scope in scopes:
                where = f"{subject.transport} {scope}" if scope else f"all of {subject.transport}"
                return Selected(f"{self.path}, for {where}", scopes[scope])
        return Selected(f"{self.path}, by default", self.default)


def _exactly_one(struct: Any, names: Sequence[str]) -> None:
    """As the format wants it. Raises ValueError, also where the one is empty."""
    encoded = dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
    present = _present(struct, names)
    if len(present) != 1:
        raise ValueError(f"exactly one of {', '.join(encoded[name] for name in names)} must be there")
    if not getattr(struct, present[0]):
        raise ValueError(f"{encoded[present[0]]} is empty")


def _present(struct: Any, names: Sequence[str]) -> list[str]:
    return [name for name in names if getattr(struct, name) is not UNSET]
