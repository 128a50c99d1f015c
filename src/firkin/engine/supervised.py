"""The supervisor as its clients see it: found on its socket, or started, and asked.

    client ── run {container} ──► supervisor    it owns the container from then on; answered once it runs
    client ── ping ─────────────► supervisor    answered once it has adopted what a dead one left

The rule: every request may be made again. A supervisor may leave or die at any moment; then the next one is
started, and finds on disk what there is to do.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

import msgspec

from firkin.agent.channel import Channel, Message
from firkin.engine.deadline import within
from firkin.errors import FirkinError, HostUnsupported, OutcomeUnknown, Timeout
from firkin.linux.unix_socket import connect
from firkin.settings import Settings

_START_DEADLINE_S = 30.0
_RETRY_S = 0.05
_MAX_COMPLAINT_BYTES = 4096


async def run(settings: Settings, container_id: str, *, again: int | None = None) -> None:
    """Let the supervisor own the container that is on record as `container_id`; it runs when this returns.

    One that ended `again` nanoseconds after 1970 is started anew, once, however often this is asked. Raises
    what kept it from starting: then nothing is left of a new one, and an ended one is as it was.
    """
    message = {"op": "run", "container": container_id, "settings": msgspec.to_builtins(settings)}
    await _ask(settings, message if again is None else message | {"again": again})


async def wake(settings: Settings) -> None:
    """See to it that a supervisor runs and owns every detached container whose owner died."""
    await _ask(settings, {"op": "ping"})


async def shutdown(settings: Settings) -> None:
    """Stop every container of the supervisor, and the supervisor; nothing happens where none runs."""
    try:
        channel = await _connected(settings)
    except OSError:
        return
    async with channel:
        await channel.request({"op": "shutdown"})
        await channel.gone.wait()


async def _ask(settings: Settings, message: Message) -> Message:
    """The supervisor's answer. Where it goes away before that, the next one is asked."""
    end = time.monotonic() + _START_DEADLINE_S
    while True:
        async with await _supervisor(settings) as channel:
            try:
                return await channel.request(message)
            except OutcomeUnknown:
                if time.monotonic() > end:
                    raise


async def _supervisor(settings: Settings) -> Channel:
    """A connection to the supervisor, started where none answers. Raises HostUnsupported, Timeout."""
    end = time.monotonic() + _START_DEADLINE_S
    while time.monotonic() < end:
        try:
            return await _connected(settings)
        except OSError:
            await _start(settings)  # when another client was faster, this ends at once
            await asyncio.sleep(0 if settings.paths.supervisor_socket_path.exists() else _RETRY_S)
    raise Timeout(
        f"no supervisor answered on {settings.paths.supervisor_socket_path} within {_START_DEADLINE_S:g} s",
        hint=f"look at {settings.paths.run / 'supervisor.log'}",
    )


async def _connected(settings: Settings) -> Channel:
    sock = connect(settings.paths.supervisor_socket_path)
    return await Channel.open(sock, "the supervisor", lost=_lost)


async def _start(settings: Settings) -> None:
    """Start a supervisor, and wait until it serves or has found that another one does."""
    paths = settings.paths
    argv = [
        sys.executable,
        "-m",
        "firkin.supervisor",
        os.path.abspath(paths.data),
        os.path.abspath(paths.run),
    ]
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd="/",
    )
    assert child.stderr is not None
    async with within(_START_DEADLINE_S, "starting the supervisor"):
        complaint = await child.stderr.read(_MAX_COMPLAINT_BYTES)
        status = await child.wait()
    if status != 0:
        said = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise HostUnsupported(
            f"the supervisor could not be started: {said or f'exit status {status}'}",
            hint=f"look at {paths.run / 'supervisor.log'}",
        )


def _lost(reason: str) -> FirkinError:
    return OutcomeUnknown(
        f"the connection to the supervisor was lost: {reason}", hint="`firkin ps -a` shows more"
    )
