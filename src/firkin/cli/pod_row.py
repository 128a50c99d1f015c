"""A pod as a row of `firkin pod ps`: podman's fields."""

from __future__ import annotations

import time
from typing import Any

from firkin.cli.ago import ago, rfc3339
from firkin.cli.container_row import ports_text
from firkin.container.record import Running
from firkin.engine.pod_members import PodSummary, state_word

HEADINGS = {
    "ID": "POD ID", "Name": "NAME", "Status": "STATUS", "Created": "CREATED", "Containers": "CONTAINERS",
    "Ports": "PORTS", "Names": "NAMES", "CreatedAt": "CREATED AT",
    "Labels": "LABELS", "SharePid": "SHARE PID",
}  # fmt: skip
COLUMNS = ("ID", "Name", "Status", "Created", "Containers", "Ports")


def pod_row(summary: PodSummary, *, shorten: bool, now_ns: int | None = None) -> dict[str, Any]:
    """The fields of one pod. `Containers` counts those that run and all of them."""
    spec, state = summary.pod.spec, summary.state
    now = time.time_ns() if now_ns is None else now_ns
    running = sum(isinstance(each, Running) for _, each in summary.members)
    return {
        "ID": spec.id[:12] if shorten else spec.id,
        "Name": spec.name,
        "Status": state_word(state).capitalize(),
        "Created": ago(spec.created_ns, now),
        "CreatedAt": rfc3339(spec.created_ns),
        "Containers": f"{running}/{len(summary.members)}",
        "Names": ",".join(each.name for each, _ in summary.members),
        "Ports": ports_text(state.ports if isinstance(state, Running) else ()),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(spec.labels.items())),
        "SharePid": str(summary.pod.sandbox.share_pid).lower(),
    }
