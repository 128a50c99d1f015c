"""Judge: check() over signatures that are still where the image is.

An index and the manifest that it has for a platform may each be signed. Whoever signed the index vouches for
all that it lists; so the name stands for the index. Where only the manifest is signed, the name stands for
that manifest alone: nothing that nobody vouched for gets a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from firkin.events import event
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.trust.check import objection, refused, wants_signatures
from firkin.trust.policy import Policy
from firkin.trust.signature import Signature
from firkin.trust.subject import Subject


class LoadsSignatures(Protocol):
    """Where the signatures of a subject are."""

    async def signatures(self, digest: Digest, /) -> Sequence[Signature]: ...


class Judge:
    """A policy's verdicts on one subject. Making one raises Untrusted where nothing could be accepted."""

    def __init__(self, policy: Policy, subject: Subject, source: LoadsSignatures) -> None:
        self._policy = policy
        self._subject = subject
        self._source = source
        self._wants_signatures = wants_signatures(policy, subject)

    async def __call__(self, candidates: tuple[Descriptor, ...]) -> Descriptor:
        """The first of `candidates`, what the subject names first, that the policy accepts.

        Raises Untrusted with the reasons against each, and what the loading of signatures raises.
        """
        reasons = []
        for candidate in candidates:
            reason = await self._objection(candidate.digest)
            if not reason:
                event("policy.accepted", what=self._subject.what, digest=str(candidate.digest))
                return candidate
            reasons.append(reason)
        raise refused(self._policy, self._subject, "; nor its manifest for this platform: ".join(reasons))

    async def _objection(self, digest: Digest) -> str:
        signatures = await self._source.signatures(digest) if self._wants_signatures else ()
        return objection(self._policy, self._subject, digest, signatures)
