"""The facts of a container's health, with the names that `docker inspect` uses."""

from __future__ import annotations

from typing import Any

from firkin.container.health import HealthCheck
from firkin.container.health_record import health_of
from firkin.container.record import Record, State
from firkin.container.spec import ContainerSpec
from firkin.engine.timestamp import timestamp
from firkin.oci.healthcheck import ImageHealthCheck


def health_state(spec: ContainerSpec, state: State, record: Record) -> dict[str, Any]:
    """What of it stands in `State`: nothing where there is no check."""
    if spec.health is None:
        return {}
    health = health_of(record, state)
    log = [
        {
            "Start": timestamp(probe.start_ns),
            "End": timestamp(probe.end_ns),
            "ExitCode": probe.exit_code,
            "Output": probe.output,
        }
        for probe in health.log
    ]
    return {"Health": {"Status": health.status, "FailingStreak": health.failing_streak, "Log": log}}


def health_config(spec: ContainerSpec) -> dict[str, Any]:
    """What of it stands in `Config`: nothing where there is no check."""
    if spec.health is None:
        return {}
    return {
        "Healthcheck": image_check_facts(image_check(spec.health)),
        "HealthcheckOnFailureAction": spec.health.on_failure,
    }


def image_check(check: HealthCheck) -> ImageHealthCheck:
    """`check` as an image has it."""
    return ImageHealthCheck(
        test=check.test,
        interval=round(check.interval_s * 1e9),
        timeout=round(check.timeout_s * 1e9),
        start_period=round(check.start_period_s * 1e9),
        start_interval=round(check.start_interval_s * 1e9),
        retries=check.retries,
    )


def image_check_facts(check: ImageHealthCheck) -> dict[str, Any]:
    """`Healthcheck`."""
    return {
        "Test": list(check.test),
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
        "Retries": check.retries,
    }
