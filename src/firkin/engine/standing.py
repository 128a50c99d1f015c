"""Standing: a machine whose processors stand still, as if no time passed, and that goes on later.

    rest    its VMM stops the virtual processors; it keeps its memory and takes no processor time
    wake    what the agent is to be told is on its way, then the processors go on

In namespaces there is no processor to stop: the container's processes are frozen, and its agent is not.
Where no control group freezes, SIGSTOP stops them, which they see and can undo: enough to read their files
meanwhile, and no pause (engine.paused).

The rule: a container that stood still has the right time, and randomness of its own, when wake() returns.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence

from firkin.engine.batch import SEED_BYTES, prologue
from firkin.engine.launch import Launched
from firkin.machine.namespace.namespace import Namespace
from firkin.machine.qemu.machine import Machine
from firkin.wire.messages import Op, Release, Signal


async def rest(launched: Launched) -> None:
    """Let it stand still until wake(); nobody who asks its agent is answered meanwhile.

    Raises MachineDied, Timeout.
    """
    machine = launched.machine
    if isinstance(machine, Namespace) and not machine.freezes:
        await launched.client.request(_everybody(launched, signal.SIGSTOP))
    else:
        await machine.pause()


async def wake(launched: Launched, ops: Sequence[Op] = ()) -> None:
    """Let it go on: its agent has answered when this returns, and done `ops`, before any program runs where
    they were held.

    Raises MachineDied, Timeout where its VMM does not answer; how long the agent may take is the caller's.
    """
    if isinstance(launched.machine, Namespace):
        goes_on = () if launched.machine.freezes else (_everybody(launched, signal.SIGCONT),)
        if ops or goes_on:
            await launched.client.batch((*ops, *goes_on))
        launched.machine.resume()
    else:
        await _go_on(launched, launched.machine, ops)
    if launched.sockets is not None:
        await launched.sockets.appear(running=True)


def _everybody(launched: Launched, number: int) -> Signal:
    return Signal(proc=launched.process.proc, signal=number, all=True)


async def _go_on(launched: Launched, machine: Machine, ops: Sequence[Op]) -> None:
    news = (*prologue(time.time_ns(), os.urandom(SEED_BYTES)), *ops, Release())
    told = asyncio.ensure_future(launched.client.batch(news))
    going = asyncio.ensure_future(machine.resume())  # begins after the batch was sent
    try:
        await asyncio.gather(told, going)
    finally:
        told.cancel()
        going.cancel()
