"""Reference: what people call an image, `[registry/]repository[:tag][@digest]`, with Docker's short names.

The grammar is that of the distribution spec ("Pulling manifests": <name> and <reference>); what a short name
means follows Docker: `alpine` is docker.io/library/alpine:latest, `localhost:5000/x` is on that host. Every
part is safe as a file name: none begins with a dot, and no repository's component begins with `_`.
"""

from __future__ import annotations

import re

import msgspec

from firkin.errors import ReferenceSyntaxError, UsageError
from firkin.oci.digest import Digest

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
MAX_NAME_CHARS = 255

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::[0-9]{{1,5}})?", re.ASCII)
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_ID = re.compile(r"[0-9a-f]{64}")


class Reference(msgspec.Struct, frozen=True, order=True):
    """A registry, a repository in it, and a tag, a digest or both. A digest decides; its tag is a remark.

    `tag` is "" only where there is a digest. Made by `parse`, which checks every part.
    """

    registry: str
    repository: str
    tag: str = DEFAULT_TAG
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """The reference that `text` writes, defaults filled in. Raises ReferenceSyntaxError that says why."""
        name, tag, digest = _split(text)
        registry, repository = _registry_and_repository(text, name)
        _check(text, registry, repository, tag)
        if not tag and digest is None:
            tag = DEFAULT_TAG
        return cls(registry, repository, tag, digest)

    def with_digest(self, digest: Digest) -> Reference:
        """The same repository, pinned to `digest`."""
        return msgspec.structs.replace(self, tag="", digest=digest)

    @property
    def familiar(self) -> str:
        """The shortest text that parses to this reference, but with its tag: `alpine:latest`."""
        short = self.repository.removeprefix("library/")
        if self.registry != DEFAULT_REGISTRY or _names_registry(self.repository):
            return str(self)
        return (self.repository if "/" in short else short) + self._suffix

    @property
    def name(self) -> str:
        """Registry and repository: `docker.io/library/alpine`."""
        return f"{self.registry}/{self.repository}"

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix


def _split(text: str) -> tuple[str, str, Digest | None]:
    """`text` as name, tag (or "") and digest (or None)."""
    name, at, digest_text = text.partition("@")
    digest = None
    if at:
        try:
            digest = Digest.parse(digest_text)
        except UsageError as error:
            raise _refused(text, f"{digest_text!r} after the @ is not a digest", hint=error.hint) from error
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise _refused(
            text,
            f"{tag!r} is not a tag",
            hint="a tag has 1 to 128 letters, digits, _ . or -, and does not begin with . or -",
        )
    return head + slash + last, tag, digest


def _registry_and_repository(text: str, name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if first.lower() in ("http:", "https:", "docker:"):
        raise _refused(text, f"it begins with {first}//, but it is not a URL", hint="leave the scheme away")
    if not (slash and _names_registry(name)):
        registry, repository = DEFAULT_REGISTRY, name
    else:
        registry, repository = first.lower(), rest
    if registry == "index.docker.io":
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and repository and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository


def _names_registry(name: str) -> bool:
    """Whether Docker takes what stands before the first slash of `name` for a host."""
    first, slash, _ = name.partition("/")
    return bool(slash) and ("." in first or ":" in first or first.lower() == "localhost")


def _check(text: str, registry: str, repository: str, tag: str) -> None:
    if not text:
        raise ReferenceSyntaxError("an image reference is empty", hint="write a name such as alpine:3.20")
    if not _REGISTRY.fullmatch(registry):
        raise _refused(text, f"{registry!r} is not a host", hint="write host or host:port before the first /")
    if _ID.fullmatch(text):
        raise _refused(
            text, "64 hex digits are an id", hint="write name@sha256:... for an image of this digest"
        )
    bad = next((part for part in repository.split("/") if not _COMPONENT.fullmatch(part)), None)
    if bad is not None:
        raise _refused(text, *_component_trouble(bad))
    if len(registry) + 1 + len(repository) > MAX_NAME_CHARS:
        raise _refused(text, f"its name has more than {MAX_NAME_CHARS} characters", hint="shorten it")


def _component_trouble(component: str) -> tuple[str, str]:
    """What is wrong with a repository's component, and what to do."""
    if not component:
        return "its repository has an empty part", "write name or namespace/name, with single slashes"
    if component.lower() != component and _COMPONENT.fullmatch(component.lower()):
        return f"{component!r} has capital letters", f"repository names are lowercase: {component.lower()}"
    return (
        f"{component!r} is not part of a repository's name",
        "its parts are lowercase letters and digits, with single . or _ , __ or dashes between them",
    )


def _refused(text: str, reason: str, hint: str) -> ReferenceSyntaxError:
    return ReferenceSyntaxError(f"{text[:128]!r} is not an image reference: {reason}", hint=hint)
