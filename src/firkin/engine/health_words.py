"""The words for a container's health check, with Docker's names; and what they make of the image's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from firkin.container.health import LEAST_S, MOST_RETRIES, MOST_S, ON_FAILURE, HealthCheck, OnFailure
from firkin.engine.health_options import AS_THE_IMAGE, HealthOptions
from firkin.engine.lists import listed
from firkin.errors import UsageError
from firkin.oci.healthcheck import ImageHealthCheck
from firkin.process.raw import is_word, kept
from firkin.units import parse_duration


class HealthWords(TypedDict, total=False):
    """What may be said of a container's health check."""

    health_cmd: str | Iterable[str] | None
    health_interval: float | str | None
    health_timeout: float | str | None
    health_retries: int | str | None
    health_start_period: float | str | None
    health_start_interval: float | str | None
    health_http: str | Iterable[str] | None
    health_tcp: int | str | None
    health_grpc: int | str | None
    health_on_failure: str | None
    no_healthcheck: bool


def health_options(words: HealthWords) -> HealthOptions:
    """What `words` ask for. Raises UsageError."""
    said = HealthOptions(
        test=_only_one(words),
        interval_s=_seconds("health_interval", words.get("health_interval")),
        timeout_s=_seconds("health_timeout", words.get("health_timeout")),
        retries=_retries(words.get("health_retries")),
        start_period_s=_seconds("health_start_period", words.get("health_start_period")),
        start_interval_s=_seconds("health_start_interval", words.get("health_start_interval")),
        on_failure=_on_failure(words.get("health_on_failure") or "none"),
    )
    if not words.get("no_healthcheck", False):
        return said
    if said != AS_THE_IMAGE:
        raise UsageError(
            "no_healthcheck: there is to be no check, and yet how to make it is said",
            hint="leave out --no-healthcheck, or the --health-* options",
        )
    return HealthOptions(test=())


def health_check(
    asked: HealthOptions, image: ImageHealthCheck | None, shell: tuple[str, ...]
) -> HealthCheck | None:
    """The check of a container that `asked`, of an image with that check and shell; None: it has none.

    Raises UsageError where there is nothing that what was asked for could mean.
    """
    image = image or ImageHealthCheck()
    test = image.test if asked.test is None else asked.test
    if asked.test != () and not image.is_sound:
        raise UsageError(
            "health_cmd: the image has a health check that cannot be run",
            hint="--no-healthcheck runs it without",
        )
    if not test or test[0] == "NONE":
        if asked not in (AS_THE_IMAGE, HealthOptions(test=())):
            raise UsageError(
                "health_cmd: neither you nor the image say what to run", hint="give --health-cmd, too"
            )
        return None
    default = HealthCheck(test=test)
    return HealthCheck(
        test=test,
        shell=shell or default.shell,
        interval_s=asked.interval_s or image.interval_s or default.interval_s,
        timeout_s=asked.timeout_s or image.timeout_s or default.timeout_s,
        retries=asked.retries or image.retries or default.retries,
        start_period_s=asked.start_period_s or image.start_period_s or default.start_period_s,
        start_interval_s=asked.start_interval_s or image.start_interval_s or default.start_interval_s,
        on_failure=asked.on_failure,
    )


def _only_one(words: HealthWords) -> tuple[str, ...] | None:
    """The test that one of four words asks for."""
    found = {
        "health_cmd": _test(words.get("health_cmd")),
        "health_http": _http(words.get("health_http")),
        "health_tcp": _tcp(words.get("health_tcp")),
        "health_grpc": _grpc(words.get("health_grpc")),
    }
    said = {name: test for name, test in found.items() if test is not None}
    if len(said) > 1:
        raise UsageError(f"{' and '.join(said)}: a container has one health check", hint="choose one")
    return next(iter(said.values()), None)


def _http(said: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if said is None or said == "":
        return None
    from firkin.container.port_test import PortTest

    url, *headers = [said] if isinstance(said, str) else listed("health_http", said)
    try:
        return PortTest.of_url(url, headers).test
    except UsageError as error:
        raise UsageError(f"health_http: {error}", hint=error.hint) from error


def _tcp(said: int | str | None) -> tuple[str, ...] | None:
    if said is None or said == "":
        return None
    from firkin.container.port_test import PortTest

    try:
        return PortTest.parse(("TCP", str(said))).test
    except UsageError as error:
        raise UsageError(f"health_tcp: {error}", hint=error.hint) from error


def _grpc(said: int | str | None) -> tuple[str, ...] | None:
    """A port, and behind a slash the service that is meant."""
    if said is None or said == "":
        return None
    from firkin.container.port_test import PortTest

    port, slash, service = str(said).partition("/")
    try:
        return PortTest.parse(("GRPC", port, *((service,) if slash else ()))).test
    except UsageError as error:
        raise UsageError(f"health_grpc: {error}", hint=error.hint) from error


def _on_failure(said: str) -> OnFailure:
    for word in ON_FAILURE:
        if word == said:
            return word
    raise UsageError(f"health_on_failure: {said!r} is not known", hint=f"choose of {', '.join(ON_FAILURE)}")


def _test(said: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """A string is a line for the image's shell, a list a command and its words."""
    if said is None or said == "":
        return None
    test = ("CMD-SHELL", said) if isinstance(said, str) else ("CMD", *listed("health_cmd", said))
    for word in test:
        if not isinstance(word, str) or not is_word(word):
            raise UsageError(f"health_cmd: {word!r} is not a word", hint="pass strings without NUL bytes")
    if len(test) < 2:
        raise UsageError("health_cmd: a command without words", hint="no_healthcheck=True is for no check")
    return tuple(map(kept, test))


def _seconds(field: str, said: float | str | None) -> float | None:
    """Seconds; None where 0 leaves it to the image, as Docker does."""
    if said is None or said == "":
        return None
    try:
        seconds = parse_duration(said) if isinstance(said, str) else float(said)
    except UsageError as error:
        raise UsageError(f"{field}: {error}", hint=error.hint) from error
    if seconds != 0 and not LEAST_S <= seconds <= MOST_S:
        raise UsageError(f"{field}: {said!r} is not from 1 ms to a year", hint="write 30s, 1m30s or 500ms")
    return seconds or None


def _retries(said: int | str | None) -> int | None:
    try:
        number = 0 if said in (None, "") else int(said or 0)
    except ValueError:
        number = -1
    if not 0 <= number <= MOST_RETRIES:
        raise UsageError(f"health_retries: {said!r} is not a number of tries", hint="write 1 or more")
    return number or None
