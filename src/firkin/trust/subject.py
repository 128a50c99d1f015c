"""Subject: what a policy judges. Its transport and scopes select the requirements, its identity is what a
signature has to name.

Transports and scopes are those of containers-transports(5): `docker` for what comes from a registry,
`oci-archive` for an OCI archive in a file, `tarball` for a bare root file system.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from firkin.oci.reference import Reference
from firkin.trust.identity import Identity


@dataclass(frozen=True, slots=True)
class Subject:
    """`scopes` are those that may have requirements, the most specific first; `what` names it in errors."""

    transport: str
    scopes: tuple[str, ...]
    identity: Identity | None
    what: str

    @classmethod
    def of_reference(cls, reference: Reference) -> Subject:
        """An image, or another artifact, at a registry."""
        identity = Identity.of(reference)
        return cls("docker", _docker_scopes(identity), identity, f"image {reference.familiar}")

    @classmethod
    def of_oci_archive(cls, path: str | Path) -> Subject:
        """An OCI archive in the file `path`; its scopes are the file and the directories above it."""
        resolved = Path(os.path.realpath(path))
        scopes = (resolved, *resolved.parents)[:-1]  # "/" is no scope: that is what "" is for
        return cls("oci-archive", tuple(map(str, scopes)), None, f"archive {path}")

    @classmethod
    def of_tarball(cls, name: str) -> Subject:
        """A tar of a root file system, from a file or a stream; it has no scopes but the transport's."""
        return cls("tarball", (), None, f"archive {name}")


def _docker_scopes(identity: Identity) -> tuple[str, ...]:
    """The image, its repository, each namespace above, the host; then `*.domain` for each domain above."""
    scopes = [str(identity), identity.name]
    while "/" in scopes[-1]:
        scopes.append(scopes[-1].rpartition("/")[0])
    domain = scopes[-1].partition(":")[0]
    while "." in domain:
        domain = domain.partition(".")[2]
        scopes.append(f"*.{domain}")
    return tuple(scopes)
