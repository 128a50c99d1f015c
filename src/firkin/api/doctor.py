"""The doctor for programs: `firkin.doctor()`, `firkin.diagnose(log)`."""

from __future__ import annotations

import os

from firkin.faults.fault import Finding


def doctor(*only: str, probe: bool = False) -> list[Finding]:
    """What is wrong with this host, the worst first; `only` of these subjects or ids of findings.

    Raises NotFound for one that there is not, UsageError where firkin's settings cannot be read.
    """
    from firkin.host.doctor import examine

    return examine(os.environ, only, probe=probe)


def diagnose(log: str | bytes) -> list[Finding]:
    """What the messages in `log` mean, of whatever host. Raises UsageError for more than 32 MiB."""
    from firkin.host.messages import recognised

    return recognised(log.encode(errors="surrogateescape") if isinstance(log, str) else log)
