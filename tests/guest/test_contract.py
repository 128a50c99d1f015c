"""The real agent keeps the contract that the fake one keeps, with firkin's own client."""

from __future__ import annotations

import pytest

from firkin.agent import AgentClient
from firkin.testing.check_agent import CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_real_agent_keeps_the_contract(check, serving):
    async with await AgentClient.open(serving(), "real") as client:
        await client.start()
        await check(client)
