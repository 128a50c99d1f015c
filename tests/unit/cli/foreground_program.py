"""A stand-in for `firkin run` and `attach`: foreground() over a fake machine that runs plain processes here.

python -m tests.unit.cli.foreground_program [-i] [-t] [--attach] [--patience S] SCRIPT
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import cast

from firkin.agent import AgentClient
from firkin.cli.detach import parse_keys
from firkin.cli.foreground import Ladder, foreground, terminal_size
from firkin.cli.session import Session
from firkin.cli.wiring import Wiring
from firkin.engine.engine import Engine
from firkin.testing.check_agent import shell
from firkin.testing.fake_agent import fake_machine
from firkin.wire.messages import Terminal


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-i", action="store_true")
    parser.add_argument("-t", action="store_true")
    parser.add_argument("--attach", action="store_true")
    parser.add_argument("--patience", type=float, default=60.0)
    parser.add_argument("script")
    wanted = parser.parse_args()
    session = Session(cast(Engine, None), lambda number: sys.exit(f"cancelled by {number}"))
    session.listen()
    size = terminal_size()
    terminal = Terminal(rows=size.rows, cols=size.cols) if wanted.t else None
    async with fake_machine() as (_, sock), await AgentClient.open(sock, "m") as client:
        await client.start()
        process = await client.spawn(shell(wanted.script, terminal=terminal), stdin=wanted.i)

        async def end() -> None:
            await process.signal(9)

        ladder = Ladder("it", None if wanted.attach else end, None if wanted.attach else wanted.patience)
        wiring = Wiring(wanted.i, wanted.t, parse_keys("ctrl-p,ctrl-q"))
        wiring.check()
        return await foreground(session, process, wiring, ladder) or 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
