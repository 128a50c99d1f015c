"""Greeting: a new owner and the agent of a machine that a dead one left, running or paused.

    connect ► SYNC ► its answer, or none in time ► connect anew, with twice the patience

The rule: what one connection lost, the next one finds. QEMU 7.2 was seen to take all that the first one sent
and to give the guest none of it, where the dead owner was killed just after it had paused the machine; what
came behind a new connection arrived.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

from firkin.agent.client import AgentClient
from firkin.engine.deadline import within
from firkin.events import event
from firkin.machine.qemu.machine import Machine
from firkin.wire.messages import Hold, Release

PATIENCE_S = 60.0
FIRST_TRY_S = 3.0
"""A guest under TCG on a busy host answers within a second."""


async def reach(stack: AsyncExitStack, machine: Machine, *, paused: bool) -> AgentClient:
    """A client that is synchronised with the agent of a machine that a dead owner left; it ends with `stack`.

    One that was left `paused` stands still afterwards. Raises Timeout where its agent does not answer within
    a minute, and what AgentClient.start() raises.
    """
    try_s = FIRST_TRY_S
    async with within(PATIENCE_S, f"the agent of machine {machine.name!r}"):
        while True:
            async with AsyncExitStack() as trying:
                opened = await AgentClient.open(machine.open_agent(), machine.name)
                client = await trying.enter_async_context(opened)
                with suppress(TimeoutError):
                    async with asyncio.timeout(try_s):
                        await (_greet_paused(machine, client) if paused else _greet(client))
                    stack.push_async_exit(trying.pop_all())
                    return client
                client.channel.connection.abort()  # nobody takes the rest
            event("machine.silent", machine=machine.name, after_s=try_s)
            try_s *= 2


async def _greet(client: AgentClient) -> None:
    await client.start(resume=True)
    client.post(Release())


async def _greet_paused(machine: Machine, client: AgentClient) -> None:
    """It takes its agent's answer, so it goes on for that: until its agent, before all else, holds its
    programs.
    """
    greeted = asyncio.ensure_future(client.start((Hold(),), resume=True))
    try:
        await asyncio.sleep(0)  # it is on its way
        await machine.resume()
        await greeted
    finally:
        greeted.cancel()
        await machine.pause()
