"""Platform: what a machine can run, `os/architecture[/variant]` (OCI image spec, image-index.md, `platform`).

Spellings are normalised when they come in: x86_64 is amd64, aarch64 is arm64/v8, arm means arm/v7, and
amd64/v1 is amd64. So two platforms that mean the same are equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from firkin.errors import UsageError

_WORD = re.compile(r"[a-z0-9_.-]{1,64}")
_ARCHITECTURES = {
    "x86_64": ("amd64", ""), "x86-64": ("amd64", ""), "i386": ("386", ""), "i686": ("386", ""),
    "aarch64": ("arm64", ""), "armhf": ("arm", "v7"), "armel": ("arm", "v6"),
    "armv7l": ("arm", "v7"), "armv6l": ("arm", "v6"), "armv8l": ("arm", "v8"),
}  # fmt: skip
_KNOWN = frozenset({"386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"})
_DEFAULT_VARIANT = {"arm64": "v8", "arm": "v7"}
_VARIANT = re.compile(r"v?([0-9]{1,2})")


class Platform(msgspec.Struct, frozen=True, order=True):
    """An operating system, an architecture in Go's words, and its variant ("" for the plain one)."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def of(cls, os: str, architecture: str, variant: str = "") -> Platform:
        """The platform of three words from an index or a config, normalised."""
        architecture = architecture.lower()
        architecture, implied = _ARCHITECTURES.get(architecture, (architecture, ""))
        variant = variant.lower() or implied or _DEFAULT_VARIANT.get(architecture, "")
        if number := _VARIANT.fullmatch(variant):
            variant = f"v{number[1]}"
        if (architecture, variant) == ("amd64", "v1"):
            variant = ""
        return cls(os.lower(), architecture, variant)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """`linux/arm64/v8`, `linux/amd64`, or one word: an architecture (of Linux) or `linux` (this host's).

        Raises UsageError.
        """
        words = text.strip().lower().split("/")
        if len(words) > 3 or not all(_WORD.fullmatch(word) for word in words):
            raise _refused(text)
        if len(words) == 1 and words[0] == "linux":
            return cls.host()
        platform = cls.of(*words) if len(words) > 1 else cls.of("linux", words[0])
        if len(words) == 1 and platform.architecture not in _KNOWN:
            raise _refused(text)
        return platform

    @classmethod
    def host(cls) -> Platform:
        """What this machine's processor runs, under Linux."""
        import os

        return cls.of("linux", os.uname().machine)

    def runs(self, other: Platform) -> bool:
        """Whether a machine of this platform runs what was made for `other`: the same or an older variant."""
        return self._rank(other) is not None

    def best(self, offered: Iterable[Platform]) -> Platform | None:
        """The newest of `offered` that a machine of this platform runs."""
        ranked = [(rank, platform) for platform in offered if (rank := self._rank(platform)) is not None]
        return max(ranked, key=lambda pair: pair[0])[1] if ranked else None

    def _rank(self, other: Platform) -> int | None:
        """The variant's number of `other` where this platform runs it, else None."""
        if (self.os, self.architecture) != (other.os, other.architecture):
            return None
        if self.variant == other.variant:
            return 100
        mine, theirs = _variant_number(self.variant), _variant_number(other.variant)
        return theirs if mine is not None and theirs is not None and theirs < mine else None

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def _variant_number(variant: str) -> int | None:
    if not variant:
        return 1
    match = _VARIANT.fullmatch(variant)
    return int(match[1]) if match else None


def _refused(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is not a platform",
        hint="write os/architecture[/variant], such as linux/amd64 or linux/arm64/v8",
    )
