"""The balloon of a machine that has one: how much of its memory the guest may have."""

from __future__ import annotations

from qemu.qmp import QMPClient

from firkin.errors import AgentError, UsageError
from firkin.machine.qemu.monitor import execute

_LEAST_BYTES = 64 << 20


async def inflate(client: QMPClient, machine: str, memory_bytes: int) -> None:
    """Leave the guest `memory_bytes`. Raises UsageError, AgentError, MachineDied, Timeout."""
    size = await execute(client, "query-memory-size-summary", machine)
    most = int(size["base-memory"]) if isinstance(size, dict) else 0
    if not _LEAST_BYTES <= memory_bytes <= most:
        raise UsageError(
            f"balloon: machine {machine!r} cannot have {memory_bytes} bytes of memory",
            hint=f"give {_LEAST_BYTES >> 20} to {most >> 20} MiB: what a kernel needs, to what it began with",
        )
    try:
        await execute(client, "balloon", machine, {"value": memory_bytes})
    except AgentError as error:
        error.hint = "only a machine that was started with --balloon has one"
        raise
