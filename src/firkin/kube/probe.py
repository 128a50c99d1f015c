"""livenessProbe as a health check, and back. Kubernetes' numbers where nothing is said.

A probe that runs a command is one; those that ask a port are not had here. Health is shown, and told in the
events: nobody is restarted for it.
"""

from __future__ import annotations

from typing import Any

from firkin.container.health import HealthCheck
from firkin.kube.fields import Fields

_MOST_S = 366 * 86400
_PERIOD_S, _TIMEOUT_S, _FAILURES = 10, 1, 3


def health_words(container: Fields) -> dict[str, Any]:
    """The words for the health check that `container` asks for. Raises UsageError."""
    probe = container.take("livenessProbe")
    if not isinstance(probe, dict) or "exec" not in probe:
        container.name_unused("livenessProbe", probe)
        return {}
    with container.inner("livenessProbe", probe) as said:
        command = said.needed_map("exec")
        with command:
            args = command.texts("command")
        period = said.number("periodSeconds", 1, _MOST_S) or _PERIOD_S
        words = {
            "health_cmd": args,
            "health_interval": period,
            "health_start_interval": period,
            "health_timeout": said.number("timeoutSeconds", 1, _MOST_S) or _TIMEOUT_S,
            "health_retries": said.number("failureThreshold", 1, 1 << 31) or _FAILURES,
            "health_start_period": said.number("initialDelaySeconds", 0, _MOST_S) or 0,
        }
        said.unsaid("successThreshold", 1)
        return words


def written(check: HealthCheck, unsaid: list[str]) -> dict[str, Any]:
    """`check` as a livenessProbe, where a manifest can say it."""
    said = {
        "periodSeconds": check.interval_s,
        "timeoutSeconds": check.timeout_s,
        "initialDelaySeconds": check.start_period_s,
    }
    if any(value != int(value) for value in said.values()):
        unsaid.append("a health check that counts parts of seconds")
        return {}
    numbers = {name: int(value) for name, value in said.items()}
    return {"exec": {"command": list(check.args)}, **numbers, "failureThreshold": check.retries}
