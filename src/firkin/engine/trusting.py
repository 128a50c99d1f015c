"""Trusting: the policy asked before a pull or an import keeps anything. Here the registry's client fetches
the signatures that the policy wants to see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from firkin.errors import ImageNotFound
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.reference import Reference
from firkin.registry.client import RegistryClient
from firkin.settings import Settings
from firkin.trust.attachments import attachments_of, read_attachments
from firkin.trust.check import check_unsigned
from firkin.trust.judge import Judge
from firkin.trust.policy_file import load_policy
from firkin.trust.signature import MAX_PAYLOAD_BYTES, Signature
from firkin.trust.subject import Subject

_PARALLEL = 4


def judge_of(settings: Settings, client: RegistryClient, reference: Reference) -> Judge:
    """What RegistryClient.pull asks about `reference`.

    Raises Untrusted where the policy refuses it whatever the registry says, UsageError where the policy
    cannot be read: then nobody has to be asked.
    """
    policy = load_policy(settings)
    return Judge(policy, Subject.of_reference(reference), RegistrySignatures(client, reference))


def check_archive(settings: Settings, subject: Subject) -> None:
    """Return if the policy accepts `subject`, which carries no signatures. Raises Untrusted, UsageError."""
    check_unsigned(load_policy(settings), subject)


class RegistrySignatures:
    """The sigstore signatures in the repository of `reference`, fetched when they are asked for."""

    def __init__(self, client: RegistryClient, reference: Reference) -> None:
        self._client = client
        self._reference = reference
        self._places = asyncio.Semaphore(_PARALLEL)

    async def signatures(self, digest: Digest) -> Sequence[Signature]:
        """Those of the manifest `digest`; none where the registry has none.

        Raises what RegistryClient.resolve raises, and Untrusted where they are too many or too long.
        """
        where = attachments_of(self._reference, digest)
        try:
            fetched = await self._client.resolve(where)
        except ImageNotFound:
            return ()
        attachments = read_attachments(fetched.content, f"signatures {where}")
        blobs = {each.payload.digest: each.payload for each in attachments}
        try:
            async with asyncio.TaskGroup() as group:
                payloads = {key: group.create_task(self._payload(where, blob)) for key, blob in blobs.items()}
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors.exceptions[0].__cause__
        return [Signature(payloads[each.payload.digest].result(), each.signature) for each in attachments]

    async def _payload(self, where: Reference, blob: Descriptor) -> bytes:
        async with self._places:
            return await self._client.read_blob(where, blob, MAX_PAYLOAD_BYTES)
