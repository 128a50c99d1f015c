"""`firkin doctor`: what is wrong with this host, or with the one that a log comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import click

from firkin.cli.options import format_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from firkin.faults.fault import Finding

_HEADINGS = {
    "ID": "ID", "Subject": "SUBJECT", "Severity": "SEVERITY", "What": "WHAT", "Why": "WHY", "Fix": "FIX",
    "NeedsRoot": "NEEDS ROOT", "Proof": "PROOF", "Concerns": "CONCERNS",
}  # fmt: skip
_COLUMNS = ("Severity", "ID", "What")
_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print findings as JSON, one a line, as --format json.")
@format_option("lines for a person")
@click.option(
    "--only",
    multiple=True,
    metavar="ID|SUBJECT",
    help="Look at this subject, or for this finding, only; may be repeated.",
)
@click.option("--explain", metavar="ID", help="Say what a finding means, what mends it and what proves that.")
@click.option("--probe", is_flag=True, help="Try a guest on /dev/kvm now.")
@click.option(
    "--from-log",
    "log",
    type=click.File("rb"),
    metavar="FILE",
    help="Say what the messages in a log mean (- is standard input); this host is not looked at.",
)
def command(
    as_json: bool, form: str, only: tuple[str, ...], explain: str | None, probe: bool, log: BinaryIO | None
) -> int:  # fmt: skip
    """Say what is wrong with this host, and what mends it.

    Looks at whatever machines need, and at what podman, buildah and skopeo need where they are installed; it
    changes nothing. Each finding is a line with commands to paste below it. The exit status is 2 when a
    finding is an error, 1 when one is a warning, else 0.
    """
    if explain is not None:
        click.echo(_explained(explain), nl=False)
        return 0
    from firkin.host.doctor import status_of

    findings = _findings(only, probe, log)
    if as_json or form:
        from firkin.cli.listing import listing

        click.echo(listing(list(map(_row, findings)), _HEADINGS, _COLUMNS, form or "json"), nl=False)
    else:
        click.echo(_lines(findings, "this log" if log else "this host"), nl=False)
    return status_of(findings)


def told() -> int:
    """Say what is wrong with this host; the exit status."""
    from firkin.host.doctor import status_of

    findings = _findings((), False, None)
    click.echo(_lines(findings, "this host"), nl=False)
    return status_of(findings)


def _findings(only: tuple[str, ...], probe: bool, log: BinaryIO | None) -> list[Finding]:
    import os

    if log is None:
        from firkin.host.doctor import examine

        return examine(os.environ, only, probe=probe)
    from firkin.errors import UsageError
    from firkin.host.messages import MAX_BYTES, recognised

    if only or probe:
        raise UsageError("--from-log looks at no host", hint="leave --only and --probe out")
    return recognised(log.read(MAX_BYTES + 1))


def _row(finding: Finding) -> dict[str, Any]:
    return {
        "ID": finding.id,
        "Subject": finding.subject,
        "Severity": finding.severity,
        "What": finding.what,
        "Why": finding.why,
        "Fix": list(finding.fix),
        "NeedsRoot": finding.needs_root,
        "Proof": finding.proof,
        "Concerns": list(finding.concerns),
    }


def _lines(findings: Sequence[Finding], where: str) -> str:
    from firkin.cli.report import printable

    if not findings:
        return f"nothing is wrong with {where}\n" if where == "this host" else "no message in it is known\n"
    width = max(len(each.id) for each in findings)
    text = ""
    for finding in findings:
        severity = click.style(f"{finding.severity:<8}", fg=_COLOURS[finding.severity], bold=True)
        text += f"{severity} {finding.id:<{width}}  {printable(finding.what)}\n"
        text += "".join(f"{'':<{width + 11}}{printable(command)}\n" for command in finding.fix)
    return text + _summary(findings)


def _summary(findings: Sequence[Finding]) -> str:
    severities: list[str] = [each.severity for each in findings]
    counts = [(severities.count(each), each) for each in _COLOURS]
    told = ", ".join(f"{count} {name}{'s' * (count > 1)}" for count, name in counts if count)
    return f"\n{told}. `firkin doctor --explain ID` says more.\n"


def _explained(fault_id: str) -> str:
    import textwrap

    from firkin.faults.catalogue import fault

    found = fault(fault_id)
    rows = [
        ("severity", found.severity),
        ("subject", found.subject),
        ("concerns", ", ".join(found.concerns)),
        ("why", textwrap.fill(found.why, 90, subsequent_indent=" " * 10)),
        *((("fix", "")[place > 0], command) for place, command in enumerate(found.commands())),
        ("proof", found.found().proof),
    ]
    return f"{found.id}: {found.title}\n" + "".join(f"{name:<10}{value}\n" for name, value in rows)
