"""Doctor: looks at this host, a subject at a time, and says what is wrong.

The rule: a check is a pure function from what was gathered once to findings; nothing of the host is changed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, Protocol, cast

import msgspec

from firkin.errors import NotFound
from firkin.faults.fault import SEVERITIES, Finding, Severity
from firkin.host.asker import Asker

SUBJECTS = {
    "qemu": "qemu",
    "kernel": "kernel",
    "kvm": "kvm",
    "virtiofsd": "virtiofsd",
    "emulators": "emulators",
    "storage": "storage",
    "run-directory": "run_directory",
    "sockets": "sockets",
    "temporary-directory": "temporary",
    "policy": "policy",
    "registries": "registries",
    "certificates": "certificates",
    "credentials": "credentials",
    "clock": "clock",
    "limits": "limits",
    "user-namespaces": "user_namespaces",
    "subordinate-ids": "subordinate_ids",
    "idmap-programs": "idmap_programs",
    "cgroups": "cgroups",
    "devices": "devices",
    "rootless-network": "network",
    "podman-storage": "podman_storage",
    "mounts": "mounts",
    "nesting": "nesting",
    "leftovers": "leftovers",
}
"""Each subject's module, in the order in which a person reads of them."""


class Subject(Protocol):
    """What each module of a subject has."""

    def gather(self, asker: Asker) -> Any: ...
    def check(self, asker: Asker, facts: Any) -> Iterator[Finding]: ...


def examine(environ: Mapping[str, str], only: Iterable[str] = (), *, probe: bool = False) -> list[Finding]:
    """What is wrong for this process in `environ`, the worst first; `only` of these subjects or ids.

    With `probe` a guest is tried on /dev/kvm now. Raises NotFound for a subject or id that there is not,
    UsageError where firkin's settings cannot be read.
    """
    wanted = tuple(only)
    names = _subjects(wanted)
    asker = Asker.of(environ)
    found = [finding for name in names for finding in _examined(name, asker, probe)]
    if wanted:
        found = [
            each for each in found if each.id in wanted or each.subject in wanted or each.subject == "doctor"
        ]
    return sorted((_for(asker, each) for each in found), key=lambda each: SEVERITIES.index(each.severity))


def _subjects(wanted: tuple[str, ...]) -> list[str]:
    from firkin.faults.catalogue import FAULTS

    named = set()
    for word in wanted:
        subject = FAULTS[word].subject if word in FAULTS else word
        if subject not in SUBJECTS:
            near = difflib.get_close_matches(word, [*SUBJECTS, *FAULTS], n=1)
            raise NotFound(
                f"the doctor has no subject and no finding {word!r}",
                hint=f"did you mean {near[0]}?" if near else f"subjects are {', '.join(SUBJECTS)}",
            )
        named.add(subject)
    return [name for name in SUBJECTS if not named or name in named]


def _examined(name: str, asker: Asker, probe: bool) -> list[Finding]:
    """One subject's findings; that it could not be looked at is one."""
    from firkin.host import kvm

    subject = cast(Subject, import_module(f"firkin.host.{SUBJECTS[name]}"))
    try:
        facts = kvm.probed(asker) if probe and name == "kvm" else subject.gather(asker)
        return list(subject.check(asker, facts))
    except OSError as error:
        from firkin.faults.reported import UNEXAMINED

        return [UNEXAMINED.found(f"{name} could not be examined: {error}")]


def _for(asker: Asker, finding: Finding) -> Finding:
    """As it is for who asks: what hurts no machine, and no program that is here, is no error; root needs no
    sudo.
    """
    if "machines" not in finding.concerns and not asker.tools:
        finding = msgspec.structs.replace(finding, severity=_without_podman(finding))
    if asker.uid == 0:
        bare = (
            command.replace("sudoedit ", "${EDITOR:-vi} ").replace("sudo ", "") for command in finding.fix
        )
        finding = msgspec.structs.replace(finding, fix=tuple(bare))
    return finding


def _without_podman(finding: Finding) -> Severity:
    """Containers in namespaces are firkin's own, but asked for by name."""
    if "namespaces" not in finding.concerns:
        return "note"
    return max(finding.severity, "warning", key=SEVERITIES.index)


def status_of(findings: Iterable[Finding]) -> int:
    """The exit status: 2 with an error, 1 with a warning, else 0."""
    worst = min((SEVERITIES.index(each.severity) for each in findings), default=len(SEVERITIES))
    return max(0, 2 - worst)
