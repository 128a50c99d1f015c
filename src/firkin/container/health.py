"""Health: whether what a container does still works, told by a command in it, or by who answers at a port.

Docker's words and meanings.

A probe that fails while the container is starting up, in its start period, does not count. One that succeeds
makes it healthy at any time; `retries` failures in a row make it unhealthy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec

if TYPE_CHECKING:
    from firkin.container.port_test import PortTest

OnFailure = Literal["none", "kill", "stop", "restart"]
ON_FAILURE: tuple[OnFailure, ...] = get_args(OnFailure)
HealthWord = Literal["starting", "healthy", "unhealthy"]
HEALTH_WORDS: tuple[HealthWord, ...] = get_args(HealthWord)

LEAST_S, MOST_S = 0.001, 366 * 86400.0
MOST_RETRIES = 1 << 31
LOGGED = 5
OUTPUT_BYTES = 4096
FAILED_TO_RUN = -1
"""The exit code of a probe that did not run, or took too long."""

_Seconds = Annotated[float, msgspec.Meta(ge=LEAST_S, le=MOST_S)]


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How it is found out whether a container is healthy."""

    test: Annotated[tuple[str, ...], msgspec.Meta(min_length=2)]
    """As images have it: `CMD` and words, or `CMD-SHELL` and a line for a shell; or one of port_test."""
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    interval_s: _Seconds = 30.0
    timeout_s: _Seconds = 30.0
    retries: Annotated[int, msgspec.Meta(ge=1, le=MOST_RETRIES)] = 3
    start_period_s: Annotated[float, msgspec.Meta(ge=0, le=MOST_S)] = 0.0
    start_interval_s: _Seconds = 5.0
    on_failure: OnFailure = "none"
    """What becomes of one that is unhealthy: restart ends it as stop does, and its restart policy starts it
    again.
    """

    @property
    def port(self) -> PortTest | None:
        """What it asks a port, where it does not run a command. Raises UsageError."""
        if self.test[0] not in ("TCP", "HTTP", "GRPC"):
            return None
        from firkin.container.port_test import PortTest

        return PortTest.parse(self.test)

    @property
    def args(self) -> tuple[str, ...]:
        """The command that is run in the container."""
        return self.test[1:] if self.test[0] == "CMD" else (*self.shell, self.test[1])

    def gap_s(self, health: Health, started_ns: int, now_ns: int) -> float:
        """How long to wait from one probe to the next."""
        begins = health.status == "starting" and self.is_early(started_ns, now_ns)
        return self.start_interval_s if begins else self.interval_s

    def is_early(self, started_ns: int, at_ns: int) -> bool:
        """Whether what was started then may still fail at that time."""
        return at_ns - started_ns < self.start_period_s * 1e9


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of the command said: `exit_code` 0 is healthy."""

    start_ns: int
    end_ns: int
    exit_code: int
    output: str
    """The beginning of what it wrote."""

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How a container is, since the start at `started_ns`."""

    started_ns: int
    status: HealthWord = "starting"
    failing_streak: int = 0
    log: Annotated[tuple[Probe, ...], msgspec.Meta(max_length=LOGGED)] = ()
    """The last probes, the latest last."""

    def after(self, probe: Probe, check: HealthCheck) -> Health:
        """How it is once `probe` was made."""
        log = (*self.log, probe)[-LOGGED:]
        if probe.ok:
            return Health(started_ns=self.started_ns, status="healthy", log=log)
        early = self.status == "starting" and check.is_early(self.started_ns, probe.start_ns)
        streak = self.failing_streak + (not early)
        status: HealthWord = "unhealthy" if streak >= check.retries else self.status
        return Health(started_ns=self.started_ns, status=status, failing_streak=streak, log=log)
