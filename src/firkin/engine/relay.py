"""A process's streams carried over a channel to another firkin, with everything that may happen to them.

    process.stdout ──read──► sender ──DATA──► client      EOF follows EOF; a client that reads no more (BREAK)
    process.stdin ◄──write── receiver ◄──DATA── client    closes its end here, a process that reads no more
    there

The rule: what a party has not read is never more than two windows, its own and the channel's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from firkin.agent.streams import StreamReceiver, StreamSender
from firkin.errors import FirkinError
from firkin.process.protocol import ByteReceiver, ByteSender


async def carry_out(source: ByteReceiver, sender: StreamSender) -> None:
    """Send all that `source` gives, until either ends. Raises what broke `source`."""

    async def copy() -> None:
        while data := await source.read():
            await sender.write(data)
        sender.close()
        await sender.drain()

    try:
        await until_either(copy(), sender.wait_broken())
    except BrokenPipeError:
        pass
    finally:
        source.close()


async def carry_in(receiver: StreamReceiver, stdin: ByteSender) -> None:
    """Give `stdin` all that arrives, until either ends. A client that vanished is no end of the input."""

    async def copy() -> None:
        while data := await receiver.read():
            await stdin.write(data)
        stdin.close()

    try:
        await until_either(copy(), stdin.wait_broken())
    except (BrokenPipeError, FirkinError):
        pass  # told to the client by BREAK, or by the end of its streams
    finally:
        receiver.close()


async def until_either(copy: Coroutine[Any, Any, None], broken: Coroutine[Any, Any, None]) -> None:
    """Run both until one has ended. Raises what `copy` raised."""
    copying, breaking = asyncio.create_task(copy), asyncio.create_task(broken)
    try:
        await asyncio.wait((copying, breaking), return_when=asyncio.FIRST_COMPLETED)
        if copying.done():
            copying.result()
    finally:
        for task in (copying, breaking):
            task.cancel()
        await asyncio.gather(copying, breaking, return_exceptions=True)
