"""A container as a row of `firkin ps`: Docker's fields, from its spec and its state."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from firkin.cli.ago import ago, duration, rfc3339
from firkin.container.record import Created, Exited, Running, State, Suspended
from firkin.container.spec import ContainerSpec
from firkin.container.state import word
from firkin.machine.spec import PublishedPort
from firkin.process.raw import shown

HEADINGS = {
    "ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "RunningFor": "CREATED", "Status": "STATUS",
    "Ports": "PORTS", "Names": "NAMES", "CreatedAt": "CREATED AT", "State": "STATE", "Labels": "LABELS",
    "Mounts": "MOUNTS", "Networks": "NETWORKS", "Size": "SIZE",
    "Pod": "POD ID", "PodName": "PODNAME",
}  # fmt: skip
COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
_COMMAND_CHARS = 20


def container_row(
    spec: ContainerSpec, state: State, *, shorten: bool, now_ns: int | None = None, health: str = "none"
) -> dict[str, Any]:
    """The fields of one container; `shorten` cuts its id and its command as the table does. `health` is
    "none" where nobody checks that.
    """
    now = time.time_ns() if now_ns is None else now_ns
    ports = state.ports if isinstance(state, Running) else ()
    return {
        "ID": spec.id[:12] if shorten else spec.id,
        "Image": spec.image,
        "Command": _command(spec.process.args, shorten=shorten),
        "CreatedAt": rfc3339(spec.created_ns),
        "RunningFor": ago(spec.created_ns, now),
        "State": word(state),
        "Status": _status(state, now, health),
        "Ports": ports_text(ports),
        "Names": spec.name,
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(spec.labels.items())),
        "Mounts": ",".join(
            (*(bind.source for bind in spec.binds), *(each.name for each in spec.storage.volumes))
        ),
        "Networks": ",".join(spec.network.names),
    }


def ports_text(ports: Iterable[PublishedPort]) -> str:
    """`0.0.0.0:8080->80/tcp, ...`; a range stands as one, as with Docker."""
    runs: list[list[PublishedPort]] = []
    for port in ports:
        if runs and _follows(runs[-1][-1], port):
            runs[-1].append(port)
        else:
            runs.append([port])
    return ", ".join(_run_text(run[0], run[-1]) for run in runs)


def at_host(port: PublishedPort, last: int = 0) -> str:
    """`0.0.0.0:8080`, with `last` as a range."""
    ip = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    return f"{ip}:{port.host_port}" + (f"-{last}" if last > port.host_port else "")


def _follows(port: PublishedPort, following: PublishedPort) -> bool:
    same = (port.host_ip, port.protocol) == (following.host_ip, following.protocol)
    return same and (following.guest_port - port.guest_port, following.host_port - port.host_port) == (1, 1)


def _run_text(first: PublishedPort, last: PublishedPort) -> str:
    inside = str(first.guest_port) + (f"-{last.guest_port}" if last != first else "")
    return f"{at_host(first, last.host_port)}->{inside}/{first.protocol}"


def _status(state: State, now_ns: int, health: str) -> str:
    if isinstance(state, Created):
        return "Created"
    if isinstance(state, Suspended):
        return f"Suspended {ago(state.suspended_ns, now_ns)}"
    if isinstance(state, Exited):
        ended = "Exited" if state.again_ns is None else "Restarting"
        return f"{ended} ({state.status.status}) {ago(state.finished_ns, now_ns)}"
    return f"Up {duration(max(0, now_ns - state.started_ns) / 1e9)}{_behind(state, health)}"


def _behind(state: Running, health: str) -> str:
    """What Docker puts behind the time."""
    if state.paused:
        return " (Paused)"
    return {"none": "", "starting": " (health: starting)"}.get(health, f" ({health})")


def _command(args: Iterable[str], *, shorten: bool) -> str:
    text = " ".join(map(shown, args))
    if shorten and len(text) > _COMMAND_CHARS:
        text = text[: _COMMAND_CHARS - 1] + "…"
    return json.dumps(text, ensure_ascii=False)
