"""Digest: `algorithm:hex` of some bytes (OCI image spec, descriptor.md)."""

from __future__ import annotations

import hashlib
import re

import msgspec

from firkin.errors import UsageError

_FORM = re.compile(r"sha256:[0-9a-f]{64}")


class Digest(msgspec.Struct, frozen=True, order=True):
    """A sha256 digest that is well formed. firkin accepts no other algorithm."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """The digest that `text` writes. Raises UsageError."""
        if not _FORM.fullmatch(text):
            raise UsageError(
                f"{text!r} is not a digest", hint="a digest is sha256: and 64 lowercase hex digits"
            )
        return cls(text)

    @classmethod
    def of(cls, content: bytes) -> Digest:
        return cls("sha256:" + hashlib.sha256(content).hexdigest())

    @property
    def hex(self) -> str:
        return self.text[7:]

    def __str__(self) -> str:
        return self.text
