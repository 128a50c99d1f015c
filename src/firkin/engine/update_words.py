"""The words for changing a container's limits and its restart policy, with the names of `docker update`.

Which of them mean anything depends on what the container is held by: engine.updating refuses the others.
"""

from __future__ import annotations

from typing import TypedDict

import msgspec

from firkin.container.restart import RestartPolicy
from firkin.engine.limit_words import LEAST_MEMORY_BYTES, cpuset, parse_cpus, pids, shares, swap
from firkin.errors import UsageError
from firkin.units import parse_size


class UpdateWords(TypedDict, total=False):
    """What may be changed of a container."""

    cpus: int | float | str | None
    memory: int | str | None
    memory_swap: int | str | None
    pids_limit: int | str | None
    restart: str | RestartPolicy | None
    cpu_shares: int | str | None
    cpuset_cpus: str


class UpdateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be changed. None leaves it as it is."""

    cpus: float | None = None
    memory_bytes: int | None = None
    pids: int | None = None
    """0: no limit."""
    restart: RestartPolicy | None = None
    memory_swap_bytes: int | None = None
    """Memory and swap together; -1: any amount of swap."""
    shares: int | None = None
    cpuset: str | None = None


NOTHING = UpdateOptions()


def update_options(words: UpdateWords) -> UpdateOptions:
    """What `words` ask for. Raises UsageError."""
    cpus, said_pids, restart = words.get("cpus"), words.get("pids_limit"), words.get("restart")
    asked = UpdateOptions(
        cpus=None if cpus is None else parse_cpus(cpus),
        memory_bytes=_memory(words.get("memory")),
        pids=None if said_pids is None else pids(said_pids) or 0,
        restart=RestartPolicy.parse(restart) if isinstance(restart, str) else restart,
        memory_swap_bytes=swap(words.get("memory_swap")),
        shares=shares(words.get("cpu_shares")),
        cpuset=cpuset(words.get("cpuset_cpus") or "") or None,
    )
    if asked == NOTHING:
        raise UsageError(
            "nothing to change", hint="give --cpus, --memory, --pids-limit or --restart a new value"
        )
    return asked


def _memory(said: int | str | None) -> int | None:
    if said is None:
        return None
    try:
        size = said if isinstance(said, int) else parse_size(said)
    except UsageError as error:
        raise UsageError(f"memory: {error}", hint=error.hint) from error
    if size < LEAST_MEMORY_BYTES:
        raise UsageError(f"memory: {size} bytes are too few", hint="give 6m or more")
    return size
