"""Probes as a health check, and back. Kubernetes' numbers where nothing is said.

    livenessProbe     the check; who fails it is ended, and started again by the pod's restartPolicy
    readinessProbe    the check where there is no other, and nobody is ended for it
    startupProbe      of the same action: the check's start period; how often meanwhile

The rule: a container has one check, so a probe that asks something else beside it is named as unused.
"""

from __future__ import annotations

from typing import Any

import msgspec

from firkin.container.health import HealthCheck
from firkin.container.port_test import PortTest
from firkin.errors import UsageError
from firkin.kube.fields import Fields, bad, inside

_MOST_S = 366 * 86400
_PERIOD_S, _TIMEOUT_S, _FAILURES = 10, 1, 3
_LOCAL = ("", "localhost", "127.0.0.1", "::1")


class _Probe(msgspec.Struct, frozen=True, kw_only=True):
    action: dict[str, Any]
    period_s: int
    timeout_s: int
    failures: int
    delay_s: int

    @property
    def most_s(self) -> int:
        """How long it may fail from the start on."""
        return self.delay_s + self.period_s * self.failures


def health_words(container: Fields, ports: dict[str, int], restart: str) -> dict[str, Any]:
    """The words for the health check of `container`, whose ports have those names. Raises UsageError."""
    liveness, readiness, startup = (
        _taken(container, name, ports) for name in ("livenessProbe", "readinessProbe", "startupProbe")
    )
    check = liveness or readiness
    for name, beside in (("readinessProbe", readiness), ("startupProbe", startup)):
        if beside is not None and (check is None or beside.action != check.action):
            container.name_unused(name, True)
    if check is None:
        return {}
    early = startup if startup is not None and startup.action == check.action else None
    return {
        **check.action,
        "health_interval": check.period_s,
        "health_start_interval": check.period_s if early is None else early.period_s,
        "health_timeout": check.timeout_s,
        "health_retries": check.failures,
        "health_start_period": check.delay_s if early is None else early.most_s,
        "health_on_failure": "none" if liveness is None else "stop" if restart == "no" else "restart",
    }


def _taken(container: Fields, name: str, ports: dict[str, int]) -> _Probe | None:
    """The probe of that name; what asks in a way that is not had here is named as unused."""
    probe = container.take(name)
    if not isinstance(probe, dict) or not {"exec", "httpGet", "tcpSocket", "grpc"} & probe.keys():
        container.name_unused(name, probe)
        return None
    with container.inner(name, probe) as said:
        action = _action(said, ports)
        found = _Probe(
            action=action,
            period_s=said.number("periodSeconds", 1, _MOST_S) or _PERIOD_S,
            timeout_s=said.number("timeoutSeconds", 1, _MOST_S) or _TIMEOUT_S,
            failures=said.number("failureThreshold", 1, 1 << 31) or _FAILURES,
            delay_s=said.number("initialDelaySeconds", 0, _MOST_S) or 0,
        )
        if found.most_s > _MOST_S:
            raise bad(said.path, "it may fail for more than a year", "lower failureThreshold")
        said.unsaid("successThreshold", 1)
        return found


def _action(said: Fields, ports: dict[str, int]) -> dict[str, Any]:
    if (command := said.map("exec")) is not None:
        with command:
            return {"health_cmd": command.texts("command")}
    if (socket := said.map("tcpSocket")) is not None:
        with socket:
            _local(socket)
            return {"health_tcp": _port(socket, ports)}
    if (call := said.map("grpc")) is not None:
        with call:
            port, service = _port(call, ports), call.text("service")
            with inside(call.path):
                test = PortTest.parse(("GRPC", str(port), service)).test
            return {"health_grpc": "/".join(test[1:])}
    with said.needed_map("httpGet") as get:
        _local(get)
        scheme = get.choice("scheme", ("HTTP", "HTTPS"), "HTTP").lower()
        path = get.text("path") or "/"
        url = f"{scheme}://localhost:{_port(get, ports)}{path if path.startswith('/') else '/' + path}"
        headers = [_header(each) for each in get.maps("httpHeaders")]
        with inside(get.path):
            PortTest.of_url(url, headers)
        return {"health_http": [url, *headers]}


def _local(said: Fields) -> None:
    host = said.text("host")
    if host not in _LOCAL:
        raise bad(said.at("host"), f"a probe asks the pod itself, and not {host!r}", "leave it out")


def _header(said: Fields) -> str:
    with said:
        return f"{said.needed('name')}: {said.text('value')}"


def _port(said: Fields, ports: dict[str, int]) -> int:
    """A number, or the name of one of the container's ports."""
    value = said.take("port")
    if isinstance(value, str) and not value.isdigit():
        if value not in ports:
            raise bad(said.at("port"), f"no port of this container is named {value!r}", "name it in ports")
        return ports[value]
    try:
        return PortTest.parse(("TCP", str(value))).port
    except UsageError as error:
        raise bad(said.at("port"), str(error), error.hint) from error


def written(check: HealthCheck, restart: str, unsaid: list[str]) -> dict[str, Any]:
    """`check` as the probes that say it in a manifest."""
    times = (check.interval_s, check.timeout_s, check.start_period_s, check.start_interval_s)
    if any(value != int(value) for value in times):
        unsaid.append("a health check that counts parts of seconds")
        return {}
    action = _written_action(check)
    interval, timeout, start, often = map(int, times)
    said = {**action, "periodSeconds": interval, "timeoutSeconds": timeout, "failureThreshold": check.retries}
    found = {}
    if start and often != interval and start % often == 0:
        found["startupProbe"] = {**action, "periodSeconds": often, "failureThreshold": start // often}
    else:
        said["initialDelaySeconds"] = start
    if check.on_failure == "stop" and restart != "no":
        unsaid.append("that it is stopped once it is unhealthy")
    kind = "readinessProbe" if check.on_failure == "none" else "livenessProbe"
    return {kind: said, **found}


def _written_action(check: HealthCheck) -> dict[str, Any]:
    port = check.port
    if port is None:
        return {"exec": {"command": list(check.args)}}
    if not port.scheme:
        return {"tcpSocket": {"port": port.port}}
    if port.scheme == "grpc":
        return {"grpc": {"port": port.port} | ({"service": port.path} if port.path else {})}
    get: dict[str, Any] = {"port": port.port, "path": port.path, "scheme": port.scheme.upper()}
    if port.headers:
        pairs = (line.partition(":") for line in port.headers)
        get["httpHeaders"] = [{"name": name, "value": value.strip()} for name, _, value in pairs]
    return {"httpGet": get}
