"""QMP through the qemu.qmp library, loaded and connected only when a machine is paused or asked something."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from qemu.qmp import QMPClient, QMPError

from firkin.errors import AgentError, FirkinError, MachineDied, Timeout
from firkin.linux import unix_socket

_DEADLINE_S = 10.0


async def connect(socket_path: Path, machine: str) -> QMPClient:
    """A negotiated QMP session; the caller disconnects it. Raises MachineDied, Timeout."""
    client = QMPClient(machine)
    try:
        sock = unix_socket.connect(socket_path)
        sock.setblocking(False)
        async with asyncio.timeout(_DEADLINE_S):
            await client.connect(sock)
    except TimeoutError as error:
        raise _too_slow(machine, "answer on QMP") from error
    except (QMPError, OSError) as error:
        raise MachineDied(
            f"cannot reach the VMM of machine {machine!r}: {error}", hint="it may be gone"
        ) from error
    return client


async def execute(
    client: QMPClient, command: str, machine: str, arguments: Mapping[str, object] | None = None
) -> object:
    """The answer to `command`. Raises AgentError for a refusal, MachineDied, Timeout."""
    from qemu.qmp import ExecuteError

    try:
        async with asyncio.timeout(_DEADLINE_S):
            return await client.execute(command, arguments)
    except TimeoutError as error:
        raise _too_slow(machine, f"do {command!r}") from error
    except ExecuteError as error:
        raise AgentError(
            f"the VMM of machine {machine!r} refused {command!r}: {error}", hint="see its state"
        ) from error
    except QMPError as error:
        raise MachineDied(
            f"machine {machine!r} ended during {command!r}", hint="see its console.log"
        ) from error


async def disconnect(client: QMPClient) -> None:
    """End the session; that the VMM ended first is no news here."""
    try:
        async with asyncio.timeout(_DEADLINE_S):
            await client.disconnect()
    except (QMPError, OSError, EOFError, TimeoutError):
        return


def _too_slow(machine: str, what: str) -> FirkinError:
    return Timeout(
        f"the VMM of machine {machine!r} did not {what} within {_DEADLINE_S:g} s",
        hint="the host may be overloaded",
    )
