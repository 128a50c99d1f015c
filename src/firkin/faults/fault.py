"""Fault: one thing that can be wrong with a host; Finding: that it is so here.

The rule: why it matters and how it is mended stand in one place, for the doctor, for the hints of run-time
errors and for docs/reference/doctor.md. A fix is commands to paste; words in braces are filled in where it is
found.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
Concern = Literal["machines", "namespaces", "podman"]
"""What it is bad for; "podman" stands for buildah and skopeo too, which share its files."""
EVERYWHERE: tuple[Concern, ...] = ("machines", "namespaces", "podman")
ROOTLESS: tuple[Concern, ...] = ("namespaces", "podman")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fault as it was found: `what` names the object, `fix` are commands to paste, maybe none."""

    id: str
    subject: str
    severity: Severity
    what: str
    why: str
    fix: tuple[str, ...]
    needs_root: bool
    proof: str
    concerns: tuple[Concern, ...]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """`title` says in general what a finding's `what` says of its object; `proof` shows that it is mended."""

    id: str
    subject: str
    severity: Severity
    title: str
    why: str
    fix: tuple[str, ...] = ()
    proof: str
    concerns: tuple[Concern, ...]

    def found(self, what: str = "", **words: object) -> Finding:
        """It is so here. `words` fill the braces of fix and proof; an unknown one stands in capitals."""
        fix = self.commands(**words)
        return Finding(
            id=self.id,
            subject=self.subject,
            severity=self.severity,
            what=what or self.title,
            why=self.why,
            fix=fix,
            needs_root=any("sudo" in command.partition("#")[0] for command in fix),
            proof=self.proof.format_map(_Words(words)),
            concerns=self.concerns,
        )

    def commands(self, **words: object) -> tuple[str, ...]:
        """The fix, filled in; each word is quoted for the shell, a tuple's one by one."""
        return tuple(command.format_map(_Words(words)) for command in self.fix)

    def hint(self, **words: object) -> str:
        """For an error that this fault explains: what to do, and where more is said."""
        return "; ".join((*self.commands(**words)[:1], self.more))

    @property
    def more(self) -> str:
        """Where more is said."""
        return f"`firkin doctor --explain {self.id}` says more"


class _Words(dict[str, str]):
    def __init__(self, words: dict[str, object]) -> None:
        given = {name: value if isinstance(value, tuple) else (value,) for name, value in words.items()}
        import shlex

        super().__init__({name: shlex.join(map(str, values)) for name, values in given.items()})

    def __missing__(self, key: str) -> str:
        return _OTHERWISE.get(key, key.upper())


_OTHERWISE = {"user": "$USER", "host": "HOST:PORT", "first": "100000", "last": "165535"}
"""What stands for a word that is not known."""
