"""Greeting: a new owner and the agent of a machine that a dead one left paused."""

from __future__ import annotations

import asyncio

from firkin.agent.client import AgentClient
from firkin.machine.qemu.machine import Machine
from firkin.wire.messages import Hold


async def greet(machine: Machine, client: AgentClient) -> None:
    """Synchronise with the agent of a machine that a dead owner left paused. It stands still afterwards.

    It takes its agent's answer, so it goes on for that: until its agent, before all else, holds its programs.
    Raises what AgentClient.start() raises.
    """
    greeted = asyncio.ensure_future(client.start((Hold(),), resume=True))
    try:
        await asyncio.sleep(0)  # it is on its way
        await machine.resume()
        await greeted
    finally:
        greeted.cancel()
        await machine.pause()
