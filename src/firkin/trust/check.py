"""Check: the verdict of a policy on one subject, from values alone.

    check(policy, Subject.of_reference(reference), digest, signatures)       # returns, or raises Untrusted

For each requirement one signature that meets it is enough. Where none does, the error has every reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import UNSET

from firkin.errors import Untrusted
from firkin.oci.digest import Digest
from firkin.trust.key import MAX_KEY_BYTES, PublicKey
from firkin.trust.policy import Policy, SigstoreSigned
from firkin.trust.signature import NotVerified, Signature, verified
from firkin.trust.subject import Subject

_SHOWN_REASONS = 3


def wants_signatures(policy: Policy, subject: Subject) -> bool:
    """Whether signatures decide about `subject`. Raises Untrusted where it is refused whatever they say."""
    selected = policy.select(subject)
    for requirement in selected.requirements:
        if requirement.impossible:
            raise refused(policy, subject, requirement.impossible)
    return any(isinstance(requirement, SigstoreSigned) for requirement in selected.requirements)


def check(policy: Policy, subject: Subject, digest: Digest, signatures: Sequence[Signature]) -> None:
    """Return if `policy` accepts that `subject` is the manifest `digest`, of which `signatures` are known.

    Raises Untrusted, which says which policy refuses it and why, also where a key of it cannot be used.
    """
    if reason := objection(policy, subject, digest, signatures):
        raise refused(policy, subject, reason)


def check_unsigned(policy: Policy, subject: Subject) -> None:
    """Return if `policy` accepts `subject`, which can carry no signature. Raises Untrusted."""
    if wants_signatures(policy, subject):
        raise refused(policy, subject, "it carries no signature")


def objection(policy: Policy, subject: Subject, digest: Digest, signatures: Sequence[Signature]) -> str:
    """What `policy` has against it, or "". Raises Untrusted as wants_signatures does."""
    if not wants_signatures(policy, subject):
        return ""
    for requirement in policy.select(subject).requirements:
        if isinstance(requirement, SigstoreSigned) and (
            reason := _unmet(requirement, subject, digest, signatures)
        ):
            return reason
    return ""


def refused(policy: Policy, subject: Subject, reason: str) -> Untrusted:
    """The error for a `subject` that `policy` refuses."""
    selected = policy.select(subject)
    signing = "" if any(each.impossible for each in selected.requirements) else "have it signed for this, or "
    return Untrusted(
        f"{subject.what} is refused by the policy {selected.place}: {reason}",
        hint=f"{signing}change {policy.path} if you trust it",
    )


def _unmet(
    requirement: SigstoreSigned, subject: Subject, digest: Digest, signatures: Sequence[Signature]
) -> str:
    """Why no signature meets `requirement`; "" where one does."""
    keys = public_keys(requirement)
    reasons = dict.fromkeys(_doubt(requirement, keys, subject, digest, each) for each in signatures)
    if "" in reasons:
        return ""
    if not reasons:
        return f"it has no sigstore signature (of {digest})"
    more = f"; and {len(reasons) - _SHOWN_REASONS} more" if len(reasons) > _SHOWN_REASONS else ""
    return "; ".join([*reasons][:_SHOWN_REASONS]) + more


def _doubt(
    requirement: SigstoreSigned,
    keys: tuple[PublicKey, ...],
    subject: Subject,
    digest: Digest,
    signature: Signature,
) -> str:
    """Why `signature` does not meet `requirement`, or ""."""
    try:
        claim = verified(signature, keys)
    except NotVerified as error:
        return str(error)
    if claim.digest != digest:
        return f"a signature is of another manifest, {claim.digest}, not of {digest}"
    if not requirement.signed_identity.accepts(claim.identity, subject.identity):
        kind = type(requirement.signed_identity).__struct_config__.tag
        return f"a signature is of {claim.identity}, which {kind} does not accept"
    return ""


def public_keys(requirement: SigstoreSigned) -> tuple[PublicKey, ...]:
    """The keys that `requirement` names. Raises Untrusted if one of them cannot be used: who put it there
    counts on it.
    """
    if requirement.key_path is not UNSET:
        return (_key_of(requirement.key_path),)
    if requirement.key_paths is not UNSET:
        return tuple(map(_key_of, requirement.key_paths))
    datas = [requirement.key_data] if requirement.key_data is not UNSET else requirement.key_datas
    assert datas is not UNSET
    return tuple(PublicKey.load(pem, "the policy's key data") for pem in datas)


def _key_of(path: str) -> PublicKey:
    what = f"the policy's key {path}"
    if not path.startswith("/"):
        raise Untrusted(f"cannot use {what}: its path is not absolute", hint="write the whole path")
    try:
        with Path(path).open("rb") as file:
            return PublicKey.load(file.read(MAX_KEY_BYTES + 1), what)
    except OSError as error:
        hint = "put the key there, or mend its mode"
        raise Untrusted(f"cannot read {what}: {error.strerror}", hint=hint) from error
